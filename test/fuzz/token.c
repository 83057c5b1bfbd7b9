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
#include "token.h"

#include "target.h"

#define SECRET "a secret for fuzzers that is long enough"

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
	gateway.options.jwt_secret_file = file_of(SECRET, strlen(SECRET));
	MUST(keys_load());
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
	append_hmac(&again, SECRET, strlen(SECRET));
	same = again.len == len && memcmp(again.data, token, len - 1) == 0;
	buffer_free(&again);
	return same;
}

/* ---- what must hold ---- */

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
		append_hmac(&token, SECRET, strlen(SECRET));
		check_token(token.data, token.len, header, newline + 1, size - header_len - 1);
		buffer_free(&token);
		free(header);
	}
	else
		check_token(bytes, size, NULL, NULL, 0);
	return 0;
}
