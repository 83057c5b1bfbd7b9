/*
 * Fuzzer of the reader of key sets, src/gateway/keys.c: files of JSON Web Keys.  How
 * it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/jwt.c src/gateway/keys.c src/client/buffer.c src/client/jsonscan.c
 *
 * What must hold for any bytes:
 *   - a file is refused whole, and what is wrong with it is said, and the keys stay
 *     what they were; or it is taken, and nothing is said;
 *   - of one that is taken the keys are, by a second reading, those that are for
 *     signatures, each for the algorithm of its kind: a secret long enough, an RSA
 *     key large enough, a point that is on its curve;
 *   - a token that is signed with one of its secrets is accepted.
 */
#include "token.h"

#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "target.h"

#define MAX_KEYS 64

long		fuzz_accepted = 0;
const char *const fuzz_likely = "{}[]\":,.\\u0123456789eE-\n truefalsnul_ABktyalgusecrvxymodi";

Gateway		gateway;

static int	complaints;

/* keys.c says what is wrong with a file. */
void
complain(const char *fmt,...)
{
	complaints++;
}

/* ---- the second reading ---- */

/* Decode a text, which may be padded; the length, or -1: it is none of base64url. */
static int
decode_text(unsigned char *out, const JsonValue *value)
{
	size_t		len = value->len;

	while (len > 0 && value->text[len - 1] == '=')
		len--;
	return value->kind == JSON_STRING ? decode_base64url(out, value->text, len) : -1;
}

/* Is it the text of the value, or are both nothing? */
static bool
is_text(const JsonValue *value, const char *text)
{
	return value->kind == JSON_MISSING ? text == NULL : text && json_is(value, text);
}

/* Is it a point of P-256? */
static bool
is_on_curve(const JsonValue *object)
{
	JsonValue	x = json_find(object, "x");
	JsonValue	y = json_find(object, "y");
	unsigned char bytes[2][8192];
	int			len[2] = {decode_text(bytes[0], &x), decode_text(bytes[1], &y)};
	EC_GROUP   *curve = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT   *point = EC_POINT_new(curve);
	BIGNUM	   *numbers[2];
	bool		good;

	MUST(len[0] >= 0 && len[1] >= 0);
	for (int i = 0; i < 2; i++)
		numbers[i] = BN_bin2bn(bytes[i], len[i], NULL);
	good = EC_POINT_set_affine_coordinates(curve, point, numbers[0], numbers[1], NULL) == 1;
	BN_free(numbers[0]);
	BN_free(numbers[1]);
	EC_POINT_free(point);
	EC_GROUP_free(curve);
	return good;
}

/* A token that is signed with a secret is accepted. */
static void
check_secret(const Key *key, const unsigned char *secret, size_t len)
{
	Buffer		header = {0};
	Buffer		token = {0};
	static const char claims_text[] = "{\"sub\":\"alice\",\"exp\":4102444800}";
	Claims		claims;

	buffer_string(&header, "{\"alg\":\"HS256\"");
	if (key->kid)
	{
		buffer_string(&header, ",\"kid\":");
		json_quote(&header, key->kid, strlen(key->kid));
	}
	buffer_char(&header, '}');
	append_base64url(&token, (unsigned char *) header.data, header.len);
	buffer_char(&token, '.');
	append_base64url(&token, (const unsigned char *) claims_text, strlen(claims_text));
	append_hmac(&token, secret, len);
	if (token.len <= JWT_MAX)
	{
		MUST(jwt_verify(token.data, token.len, &claims) == NULL);
		MUST(strcmp(claims.json, claims_text) == 0);
		claims_free(&claims);
	}
	buffer_free(&token);
	buffer_free(&header);
}

/* Compare a key with what it was read from. */
static void
check_key(const Key *key, const JsonValue *object)
{
	JsonValue	kty = json_find(object, "kty");
	JsonValue	alg = json_find(object, "alg");
	JsonValue	kid = json_find(object, "kid");
	JsonValue	value;
	unsigned char bytes[8192];
	int			len;

	MUST(is_text(&kid, key->kid));
	MUST(alg.kind == JSON_MISSING || json_is(&alg, key->algorithm));
	if (json_is(&kty, "oct"))
	{
		value = json_find(object, "k");
		len = decode_text(bytes, &value);
		MUST(strcmp(key->algorithm, "HS256") == 0 && len >= 32);
		check_secret(key, bytes, len);
	}
	else if (json_is(&kty, "RSA"))
	{
		int			zeros = 0;

		value = json_find(object, "n");
		len = decode_text(bytes, &value);
		while (zeros < len && bytes[zeros] == 0)
			zeros++;
		MUST(strcmp(key->algorithm, "RS256") == 0 && len - zeros >= 256);
		value = json_find(object, "e");
		len = decode_text(bytes, &value);
		MUST(len > 0 && bytes[len - 1] % 2 == 1 && (len > 1 || bytes[0] > 1));
	}
	else
	{
		value = json_find(object, "crv");
		MUST(json_is(&kty, "EC") && json_is(&value, "P-256") && strcmp(key->algorithm, "ES256") == 0);
		MUST(is_on_curve(object));
	}
}

/* Is a key of the set for something else than signatures? */
static bool
is_for_something_else(const JsonValue *object)
{
	JsonValue	use = json_find(object, "use");
	JsonValue	operations = json_find(object, "key_ops");
	JsonWalk	walk = json_walk(&operations);
	JsonValue	operation;

	if (use.kind != JSON_MISSING && !json_is(&use, "sig"))
		return true;
	if (operations.kind == JSON_MISSING)
		return false;
	while (json_next_element(&walk, &operation))
		if (json_is(&operation, "verify"))
			return false;
	return true;
}

/* The file has been taken: are the keys what is in it? */
static void
check_keys(const char *text, size_t len)
{
	JsonValue	document = json_document(text, len);
	JsonValue	list = json_find(&document, "keys");
	JsonWalk	walk = json_walk(&list);
	JsonValue	objects[MAX_KEYS];
	int			count = 0;

	/* names with escapes this reading does not know */
	if (memchr(text, '\\', len))
		return;
	MUST(list.kind == JSON_ARRAY);
	while (count < MAX_KEYS && json_next_element(&walk, &objects[count]))
		if (!is_for_something_else(&objects[count]))
			count++;
	if (count == MAX_KEYS)
		return;
	/* the last is the first */
	for (const Key *key = keys_first(); key; key = key->next)
	{
		MUST(count > 0);
		check_key(key, &objects[--count]);
	}
	MUST(count == 0);
}

/* ---- what must hold ---- */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int	file = -1;
	static char name[64];
	const Key  *before = keys_first();
	bool		loaded;

	if (size > 8000)
		return 0;
	if (file < 0)
	{
		file = memfd_create("keys", 0);
		snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
		gateway.options.jwks_file = name;
	}
	MUST(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t) size);
	model_state = MODEL_STATE + size;
	complaints = 0;
	loaded = keys_load();
	MUST(loaded == (complaints == 0));
	if (loaded)
	{
		MUST(keys_first() != NULL);
		check_keys((const char *) data, size);
		fuzz_accepted++;
	}
	else
	{
		MUST(keys_first() == before);
		for (const Key *key = before; key; key = key->next)
			MUST(strlen(key->algorithm) == 5 && (key->kid == NULL || strlen(key->kid) <= 8000));
	}
	return 0;
}
