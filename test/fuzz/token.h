/*
 * What the fuzzers of tokens and keys share (token.c, signature.c, jwks.c): how
 * tokens are made, and what must hold of those that are accepted, or are not.
 */
#ifndef WFLOG_FUZZ_TOKEN_H
#define WFLOG_FUZZ_TOKEN_H

#include "model.h"

#include "jwt.h"

#include <openssl/hmac.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "jsonscan.h"

#define AUDIENCE "us"
#define LEEWAY 30				/* seconds, as in jwt.c */

/* A file with these bytes, which has no name but this one. */
static inline const char *
file_of(const char *bytes, size_t len)
{
	int			file = memfd_create("fuzz", 0);
	char	   *name = malloc(64);

	MUST(name != NULL && file >= 0 && write(file, bytes, len) == (ssize_t) len);
	snprintf(name, 64, "/proc/self/fd/%d", file);
	return name;
}

/* ---- a second calculation ---- */

static inline void
append_base64url(Buffer *out, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (size_t i = 0; i < len; i += 3)
	{
		uint32_t	group = bytes[i] << 16 | (i + 1 < len ? bytes[i + 1] << 8 : 0) | (i + 2 < len ? bytes[i + 2] : 0);

		for (size_t j = 0; j < 4 && j <= len - i; j++)
			buffer_char(out, digits[group >> (18 - 6 * j) & 63]);
	}
}

/* Decode base64url; the length, or -1: it is none. */
static inline int
decode_base64url(unsigned char *out, const char *text, size_t len)
{
	uint32_t	bits = 0;
	int			written = 0;

	for (size_t i = 0; i < len; i++)
	{
		char		c = text[i];
		int			digit = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 :
			c >= '0' && c <= '9' ? c - '0' + 52 : c == '-' ? 62 : c == '_' ? 63 : -1;

		if (digit < 0)
			return -1;
		bits = bits << 6 | digit;
		if (i % 4 > 0)
			out[written++] = bits >> (6 - 2 * (i % 4));
	}
	return len % 4 == 1 ? -1 : written;
}

/* Append a dot, and the HMAC of what is there. */
static inline void
append_hmac(Buffer *token, const void *key, size_t key_len)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned	len = 0;

	MUST(HMAC(EVP_sha256(), key, key_len, (unsigned char *) token->data, token->len, digest, &len));
	buffer_char(token, '.');
	append_base64url(token, digest, len);
}

/* ---- what must hold ---- */

static inline void
must_refuse(const char *token, size_t len)
{
	char	   *copy = own_block(token, len);
	Claims		claims;
	const char *why = jwt_verify(copy, len, &claims);

	MUST(why != NULL && why[0] != '\0');
	MUST(claims.json == NULL && claims.subject == NULL);
	free(copy);
}

/* The claims of an accepted token, read again. */
static inline void
check_claims(const Claims *claims)
{
	JsonValue	document = json_document(claims->json, strlen(claims->json));
	JsonValue	value;
	char	   *text;

	MUST(document.kind == JSON_OBJECT);
	value = json_find(&document, "exp");
	/* a name may be written with escapes, which this reading does not see */
	if (value.kind != JSON_MISSING)
	{
		MUST(value.kind == JSON_NUMBER);
		MUST((int64) strtod(value.text, NULL) == claims->expires);
	}
	MUST(claims->expires + LEEWAY > time(NULL) - 1);
	value = json_find(&document, "nbf");
	MUST(value.kind == JSON_MISSING || strtod(value.text, NULL) < time(NULL) + LEEWAY + 2);
	value = json_find(&document, "sub");
	if (value.kind != JSON_MISSING)
	{
		text = json_text(&value);
		MUST(value.kind == JSON_STRING && text && strcmp(text, claims->subject) == 0);
		free(text);
	}
	if (gateway.options.audience)
	{
		value = json_find(&document, "aud");
		MUST(value.kind == JSON_MISSING || value.kind == JSON_ARRAY || json_is(&value, AUDIENCE) ||
			 memchr(value.text, '\\', value.len));
	}
}

/* Whatever is done to an accepted token, it is refused. */
static inline void
check_changes(const char *token, size_t len)
{
	char	   *copy = malloc(len + 1);
	size_t		signature = (const char *) memrchr(token, '.', len) - token;
	size_t		at = draw(len - 1);

	memcpy(copy, token, len);
	copy[at] = copy[at] == 'A' ? 'B' : 'A';
	must_refuse(copy, len);
	memcpy(copy, token, len);
	copy[len] = 'A';
	must_refuse(copy, len + 1);
	must_refuse(token, draw(len));
	must_refuse(token, signature + 1);
	must_refuse(token, signature);
	free(copy);
}

#endif							/* WFLOG_FUZZ_TOKEN_H */
