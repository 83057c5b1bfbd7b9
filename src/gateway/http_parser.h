/*-------------------------------------------------------------------------
 *
 * http_parser.h
 *	  Reads HTTP/1.1 requests, and refuses what could be read in two ways.
 *
 * Pure functions over bytes: they allocate nothing, keep nothing and know of no
 * connection, so they can be tested and fuzzed by themselves.  Needs nothing
 * but the C library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WFLOG_HTTP_PARSER_H
#define WFLOG_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes; of a whole head, of its first line, of all trailers, of a chunk's extensions. */
#define HTTP_MAX_HEAD 16384
#define HTTP_MAX_LINE 8192
#define HTTP_MAX_TRAILERS 4096
#define HTTP_MAX_EXTENSIONS 256

#define HTTP_MAX_HEADERS 64

/* A piece of what was received; not NUL-terminated. */
typedef struct HttpText
{
	const char *at;
	size_t		len;
} HttpText;

typedef struct HttpHeader
{
	HttpText	name;
	HttpText	value;			/* without blanks around it */
} HttpHeader;

typedef enum HttpBody
{
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED
} HttpBody;

typedef struct HttpRequest
{
	HttpText	method;
	HttpText	target;			/* as it was sent */
	HttpText	path;			/* begins with /, or is *; not decoded */
	HttpText	query;			/* behind the ?; not decoded */
	int			minor_version;	/* 0 or 1 */
	int			header_count;
	HttpHeader	headers[HTTP_MAX_HEADERS];
	HttpBody	body;
	uint64_t	content_length;
	bool		keep_alive;
	bool		expect_continue;
} HttpRequest;

/* How far the end of a head has been looked for; {0} at its beginning. */
typedef struct HttpScan
{
	size_t		scanned;
	size_t		line_start;
	int			lines;
} HttpScan;

/* A chunked body; {0} at its beginning. */
typedef struct HttpChunks
{
	int			state;
	int			digits;
	uint64_t	left;			/* of the chunk being read */
	size_t		line_bytes;		/* of extensions, or of all trailers */
	size_t		name_bytes;		/* of the trailer being read */
} HttpChunks;

/*
 * What these return: the status of the answer that refuses the request, or one
 * of these.
 */
#define HTTP_PARSE_MORE 0		/* all right so far, but not whole */
#define HTTP_PARSE_DONE 1

extern int	http_scan_head(HttpScan *scan, const char *bytes, size_t len, size_t *head_len);
extern int	http_parse_head(HttpRequest *request, const char *head, size_t head_len);
extern bool http_text_is(HttpText text, const char *word);
extern bool http_text_is_ignoring_case(HttpText text, const char *word);
extern HttpText http_header(const HttpRequest *request, const char *name);

/* ---- http_chunks.c ---- */

extern int	http_read_chunks(HttpChunks *chunks, const char *bytes, size_t len, size_t *used,
							 HttpText *data);

#endif							/* WFLOG_HTTP_PARSER_H */
