/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The keys that tokens are verified with.
 *
 * Each key is for one algorithm, which is settled when it is loaded: that of
 * its "alg", which must go with its kind, or the one its kind has.  So no token
 * can choose how it is verified.  A file that has anything wrong in it is
 * refused whole, and after SIGHUP the keys stay what they were.
 *
 *-------------------------------------------------------------------------
 */
#include "jwt.h"

#include <jansson.h>

/* Bytes.  RFC 7518: an HMAC key has at least as many bits as the hash. */
#define MIN_SECRET 32
#define MIN_RSA_BITS 2048
#define MAX_FILE 1048576

static Key *all_keys = NULL;

/* The first key; the others are linked to it. */
const Key *
keys_first(void)
{
	return all_keys;
}

static void
free_keys(Key *key)
{
	while (key)
	{
		Key		   *next = key->next;

		cjose_jwk_release(key->jwk);
		free(key->kid);
		free(key);
		key = next;
	}
}

static bool
read_file(const char *name, Buffer *out)
{
	FILE	   *file = fopen(name, "r");
	char		piece[4096];
	size_t		got;

	if (file == NULL)
	{
		complain("could not open \"%s\": %s", name, strerror(errno));
		return false;
	}
	while ((got = fread(piece, 1, sizeof(piece), file)) > 0 && out->len <= MAX_FILE)
		buffer_append(out, piece, got);
	if (ferror(file) || out->len > MAX_FILE)
	{
		complain("could not read \"%s\": %s", name, ferror(file) ? strerror(errno) : "it is too large");
		fclose(file);
		return false;
	}
	fclose(file);
	return true;
}

static void
add_key(Key **keys, cjose_jwk_t *jwk, const char *kid, const char *algorithm)
{
	Key		   *key = xmalloc(sizeof(Key));

	key->next = *keys;
	key->kid = kid ? xstrdup(kid) : NULL;
	key->algorithm = algorithm;
	key->jwk = jwk;
	*keys = key;
}

/* A file that is an HMAC key, up to a line feed at its end. */
static bool
load_secret(const char *name, Key **keys)
{
	Buffer		secret = {0};
	cjose_err	error;
	cjose_jwk_t *jwk;
	bool		loaded = false;

	if (!read_file(name, &secret))
		return false;
	while (secret.len > 0 && (secret.data[secret.len - 1] == '\n' || secret.data[secret.len - 1] == '\r'))
		secret.len--;
	if (secret.len < MIN_SECRET)
		complain("the secret in \"%s\" has %zu bytes; HS256 needs at least %d", name, secret.len, MIN_SECRET);
	else if (strstr(buffer_text(&secret), "-----BEGIN"))
		complain("\"%s\" has a PEM key, not a secret; give public keys as a JWKS file", name);
	else if ((jwk = cjose_jwk_create_oct_spec((const uint8_t *) secret.data, secret.len, &error)) == NULL)
		complain("could not use the secret in \"%s\": %s", name, error.message);
	else
	{
		add_key(keys, jwk, NULL, "HS256");
		loaded = true;
	}
	if (secret.data)
		explicit_bzero(secret.data, secret.size);
	buffer_free(&secret);
	return loaded;
}

/* Is a text base64url, padded or not? */
static bool
is_base64url(const char *text)
{
	size_t		len = strlen(text);
	size_t		digits = len;

	while (digits > 0 && text[digits - 1] == '=')
		digits--;
	if (digits % 4 == 1 || (digits < len && (len % 4 != 0 || len - digits > 2)))
		return false;
	for (size_t i = 0; i < digits; i++)
		if (!isalnum((unsigned char) text[i]) && text[i] != '-' && text[i] != '_')
			return false;
	return true;
}

/*
 * What is wrong with the form of a key's members, or NULL.  The library ends
 * the process for some numbers that are not base64url.
 */
static const char *
check_members(json_t *object)
{
	static const char *const texts[] = {"kty", "alg", "use", "crv", "kid"};
	static const char *const numbers[] = {"k", "n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y"};
	json_t	   *operations = json_object_get(object, "key_ops");

	for (int i = 0; i < lengthof(texts); i++)
	{
		json_t	   *value = json_object_get(object, texts[i]);

		if (value && !json_is_string(value))
			return "a member of it is of the wrong type";
	}
	if (operations && !json_is_array(operations))
		return "a member of it is of the wrong type";
	for (int i = 0; i < lengthof(numbers); i++)
	{
		json_t	   *value = json_object_get(object, numbers[i]);

		if (value && (!json_is_string(value) || !is_base64url(json_string_value(value))))
			return "a number of it is not base64url";
	}
	return NULL;
}

/* Is a key, as far as it says, one that signatures are verified with? */
static bool
is_for_signatures(json_t *object)
{
	const char *use = json_string_value(json_object_get(object, "use"));
	json_t	   *operations = json_object_get(object, "key_ops");
	json_t	   *operation;
	size_t		index;

	if (use && strcmp(use, "sig") != 0)
		return false;
	json_array_foreach(operations, index, operation)
		if (json_is_string(operation) && strcmp(json_string_value(operation), "verify") == 0)
			return true;
	return operations == NULL;
}

/* How many bits a number in base64url has, and its last byte; no bits if it cannot be read. */
static size_t
number_bits(const char *text, uint8_t *last)
{
	uint8_t    *bytes = NULL;
	size_t		len = 0;
	size_t		at = 0;
	size_t		bits;
	cjose_err	error;

	*last = 0;
	if (text == NULL || !cjose_base64url_decode(text, strlen(text), &bytes, &len, &error))
		return 0;
	while (at < len && bytes[at] == 0)
		at++;
	bits = (len - at) * 8;
	if (at < len)
	{
		for (uint8_t first = bytes[at]; (first & 0x80) == 0; first <<= 1)
			bits--;
		*last = bytes[len - 1];
	}
	free(bytes);
	return bits;
}

/* What is wrong with the numbers of an RSA key, or NULL. */
static const char *
check_rsa(json_t *object)
{
	uint8_t		last;

	/* the library counts bytes, and newer versions do not even read a small key */
	if (number_bits(json_string_value(json_object_get(object, "n")), &last) < MIN_RSA_BITS)
		return "an RSA key needs at least 2048 bits";
	/* odd, and at least 3: with 1 everybody could sign */
	if (number_bits(json_string_value(json_object_get(object, "e")), &last) < 2 || last % 2 == 0)
		return "its e is no exponent of an RSA key";
	return NULL;
}

/* One key of a JWKS.  Returns what is wrong with it, or NULL. */
static const char *
load_jwk(json_t *object, Key **keys)
{
	const char *kty = json_string_value(json_object_get(object, "kty"));
	const char *alg = json_string_value(json_object_get(object, "alg"));
	const char *crv = json_string_value(json_object_get(object, "crv"));
	const char *algorithm;
	const char *problem = check_members(object);
	cjose_err	error;
	cjose_jwk_t *jwk;
	char	   *text;

	if (problem)
		return problem;
	if (kty == NULL)
		return "it has no kty";
	if (!is_for_signatures(object))
		return NULL;			/* not ours */
	if (strcmp(kty, "oct") == 0)
		algorithm = "HS256";
	else if (strcmp(kty, "RSA") == 0)
		algorithm = "RS256";
	else if (strcmp(kty, "EC") == 0 && crv && strcmp(crv, "P-256") == 0)
		algorithm = "ES256";
	else
		return "its kty is not oct, RSA, or EC on P-256";
	if (alg && strcmp(alg, algorithm) != 0)
		return "its alg is not HS256, RS256 or ES256, or does not go with its kty";
	if (strcmp(kty, "RSA") == 0 && (problem = check_rsa(object)) != NULL)
		return problem;
	/* the library would be content with the private number */
	if (strcmp(kty, "EC") == 0 && (!json_object_get(object, "x") || !json_object_get(object, "y")))
		return "an EC key needs x and y";
	text = json_dumps(object, JSON_COMPACT);
	if (text == NULL)
		return "it is too strange";
	jwk = cjose_jwk_import(text, strlen(text), &error);
	if (jwk == NULL)
		problem = "it cannot be read";
	else if (strcmp(kty, "oct") == 0 && cjose_jwk_get_keysize(jwk, &error) < MIN_SECRET * 8)
		problem = "a secret needs at least 256 bits";
	else
		add_key(keys, jwk, json_string_value(json_object_get(object, "kid")), algorithm);
	if (problem && jwk)
		cjose_jwk_release(jwk);
	explicit_bzero(text, strlen(text));
	free(text);
	return problem;
}

static bool
load_jwks(const char *name, Key **keys)
{
	Buffer		text = {0};
	json_error_t error;
	json_t	   *set;
	json_t	   *list;
	json_t	   *object;
	size_t		index;
	bool		good = true;

	if (!read_file(name, &text))
		return false;
	set = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &error);
	buffer_free(&text);
	if (set == NULL)
	{
		complain("\"%s\" is not JSON: line %d: %s", name, error.line, error.text);
		return false;
	}
	list = json_object_get(set, "keys");
	if (!json_is_array(list))
	{
		complain("\"%s\" is not a key set: it has no \"keys\"", name);
		good = false;
	}
	json_array_foreach(list, index, object)
	{
		const char *problem = load_jwk(object, keys);

		if (problem)
		{
			complain("key %zu in \"%s\" cannot be used: %s", index + 1, name, problem);
			good = false;
		}
	}
	json_decref(set);
	return good;
}

/* Load all keys.  False: something is wrong, which has been said; they are what they were. */
bool
keys_load(void)
{
	Key		   *keys = NULL;
	bool		good = true;

	if (gateway.options.jwt_secret_file)
		good = load_secret(gateway.options.jwt_secret_file, &keys);
	if (gateway.options.jwks_file)
		good = load_jwks(gateway.options.jwks_file, &keys) && good;
	if (good && keys == NULL)
	{
		complain("there is no key to verify tokens with");
		good = false;
	}
	if (!good)
	{
		free_keys(keys);
		return false;
	}
	free_keys(all_keys);
	all_keys = keys;
	return true;
}
