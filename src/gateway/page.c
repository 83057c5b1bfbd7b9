/*-------------------------------------------------------------------------
 *
 * page.c
 *	  The page for browsers, whose files are part of the program.
 *
 * What they are made of is in page/; page_files.h is made of that, and of
 * openapi.json, the description of the interface.  The page
 * asks for a token itself and sends it with its requests, so the files are for
 * everybody.
 *
 * The policy allows it nothing but its own files and requests to where it came
 * from: whatever a log says can at worst be shown.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

typedef struct PageFile
{
	const char *name;
	const char *type;
	const char *etag;			/* a strong one: of the bytes */
	const char *bytes;
	size_t		len;
} PageFile;

#include "page_files.h"

#define POLICY "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " \
	"require-trusted-types-for 'script'; trusted-types 'none'"

static void
respond_file(Request *request, const char *name)
{
	for (int i = 0; i < lengthof(page_files); i++)
	{
		const PageFile *file = &page_files[i];
		HttpText	known = http_header(&request->http, "If-None-Match");

		if (strcmp(file->name, name) != 0)
			continue;
		/* asked for anew each time, and nearly always still good: so never of two versions */
		request_header(request, "ETag: %s", file->etag);
		request_header(request, "Cache-Control: no-cache");
		request_header(request, "Content-Security-Policy: %s", POLICY);
		request_header(request, "Referrer-Policy: no-referrer");
		request_header(request, "Cross-Origin-Opener-Policy: same-origin");
		request_header(request, "Cross-Origin-Resource-Policy: same-origin");
		if (http_text_is(known, file->etag))
			respond(request, 304, NULL, NULL, 0);
		else
			respond(request, 200, file->type, file->bytes, file->len);
		return;
	}
	respond_problem(request, 404, NULL, "There is nothing at this address.");
}

/* GET /: the page */
void
handle_page(Request *request)
{
	respond_file(request, "index.html");
}

/* GET /page/{file}: what it is made of */
void
handle_page_file(Request *request)
{
	respond_file(request, request->path.value);
}

/* GET /openapi.json: the interface, described */
void
handle_openapi(Request *request)
{
	respond_file(request, "openapi.json");
}
