/*
 * Fuzzer of the gateway's tokens, src/gateway/jwt.c.  How it is run: driver.c,
 * test/README.md.
 *
 * Sources: src/gateway/jwt.c src/gateway/keys.c src/client/buffer.c src/client/jsonscan.c
 *
 * An input that has a line feed is a header and claims, which are signed here,
 * so that what comes behind the signature is reached; any other is a token as a
 * client might send it.
 *
 * What must hold:
 *   - a token that is accepted has our signature, for our algorithm, by a second
 *     calculation; its header names no extension;
 *   - what is handed on as claims is what was signed, byte by byte, and by a
 *     second reading has the same end and the same subject;
 *   - a token that ends, begins or is valid outside of what is allowed is refused;
 *   - and so is one with anything changed, lost or put at its end.
 */
#include "model.h"

#include "jwt.h"

#include <openssl/hmac.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "jsonscan.h"
#include "target.h"

#define SECRET "a secret for fuzzers that is long enough"
#define AUDIENCE "us"
#define LEEWAY 30

long		fuzz_accepted = 0;
const char *const fuzz_likely = "{}[]\":,.\\u0123456789eE-\n truefalsnul_ABab";

Gateway		gateway;

/* keys.c says what is wrong with a file; here nothing is. */
void
complain(const char *fmt,...)
{
	MUST(!"the secret was not taken");
}

static void
begin(void)
{
	static char name[64];
	int			file = memfd_create("secret", 0);

	MUST(file >= 0 && write(file, SECRET, strlen(SECRET)) == strlen(SECRET));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	gateway.options.jwt_secret_file = name;
	MUST(keys_load());
}

/* ---- a second calculation ---- */

static void
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

static void
append_signature(Buffer *token)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned	len = 0;

	MUST(HMAC(EVP_sha256(), SECRET, strlen(SECRET), (unsigned char *) token->data, token->len, digest, &len));
	buffer_char(token, '.');
	append_base64url(token, digest, len);
}

/* Does the token have our signature?  Of its last digit two bits are of no byte. */
static bool
is_signed_by_us(const char *token, size_t len)
{
	const char *last = memrchr(token, '.', len);
	Buffer		again = {0};
	bool		same;

	if (last == NULL)
		return false;
	buffer_append(&again, token, last - token);
	append_signature(&again);
	same = again.len == len && memcmp(again.data, token, len - 1) == 0;
	buffer_free(&again);
	return same;
}

/* ---- what must hold ---- */

static void
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
static void
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
static void
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

/* Verify a token.  The header and claims that were signed, or NULL. */
static void
check_token(const char *token, size_t len, const char *header, const char *signed_claims, size_t signed_len)
{
	char	   *copy = own_block(token, len);
	Claims		claims;
	const char *why = jwt_verify(copy, len, &claims);

	if (why)
	{
		MUST(why[0] != '\0' && claims.json == NULL && claims.subject == NULL);
		free(copy);
		return;
	}
	MUST(is_signed_by_us(token, len));
	if (signed_claims)
	{
		JsonValue	document = json_document(header, strlen(header));
		JsonValue	algorithm = json_find(&document, "alg");

		MUST(strlen(claims.json) == signed_len && memcmp(claims.json, signed_claims, signed_len) == 0);
		MUST(algorithm.kind == JSON_MISSING || json_is(&algorithm, "HS256") || memchr(algorithm.text, '\\', algorithm.len));
		MUST(json_find(&document, "crit").kind == JSON_MISSING && json_find(&document, "b64").kind == JSON_MISSING);
	}
	check_claims(&claims);
	claims_free(&claims);
	check_changes(token, len);
	free(copy);
	fuzz_accepted++;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *) data;
	const char *newline = size > 0 ? memchr(bytes, '\n', size) : NULL;
	size_t		header_len = newline ? newline - bytes : 0;

	if (size > 6000)
		return 0;
	if (keys_first() == NULL)
		begin();
	model_state = MODEL_STATE + size;
	gateway.options.audience = size % 2 ? AUDIENCE : NULL;
	if (newline)
	{
		Buffer		token = {0};
		char	   *header = own_block(bytes, header_len + 1);

		header[header_len] = '\0';
		append_base64url(&token, data, header_len);
		buffer_char(&token, '.');
		append_base64url(&token, data + header_len + 1, size - header_len - 1);
		append_signature(&token);
		check_token(token.data, token.len, header, newline + 1, size - header_len - 1);
		buffer_free(&token);
		free(header);
	}
	else
		check_token(bytes, size, NULL, NULL, 0);
	return 0;
}
