/*-------------------------------------------------------------------------
 *
 * jwt.c
 *	  Verifies tokens (RFC 7519, RFC 8725).
 *
 * The header is believed nothing: it must name the algorithm that the key is
 * for, and a key by its id if it names one.  Only then is the signature
 * verified, and only then are the claims looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "jwt.h"

#include <jansson.h>
#include <time.h>

/* Seconds by which the clocks of issuer and gateway may differ. */
#define LEEWAY 30

void
claims_free(Claims *claims)
{
	free(claims->json);
	free(claims->subject);
	memset(claims, 0, sizeof(Claims));
}

void
claims_copy(Claims *to, const Claims *from)
{
	to->json = xstrdup(from->json);
	to->subject = from->subject ? xstrdup(from->subject) : NULL;
	to->expires = from->expires;
}

/*
 * May the token's header stand with this key?  It is one of no other
 * algorithm, and of no other id if both have one.
 */
static bool
key_fits(const Key *key, const char *algorithm, const char *kid)
{
	if (strcmp(key->algorithm, algorithm) != 0)
		return false;
	return kid == NULL || key->kid == NULL || strcmp(kid, key->kid) == 0;
}

/* Is the text base64url, in three parts that are not empty? */
static bool
is_compact(const char *token, size_t len)
{
	int			dots = 0;
	size_t		part = 0;

	for (size_t i = 0; i < len; i++)
	{
		if (token[i] == '.')
		{
			if (part == 0 || ++dots > 2)
				return false;
			part = 0;
		}
		else if (isalnum((unsigned char) token[i]) || token[i] == '-' || token[i] == '_')
			part++;
		else
			return false;
	}
	return dots == 2 && part > 0;
}

/* The header as JSON; NULL if it is none. */
static json_t *
read_header(const char *token)
{
	const char *dot = strchr(token, '.');
	uint8_t    *bytes = NULL;
	size_t		len = 0;
	cjose_err	error;
	json_t	   *header;

	if (!cjose_base64url_decode(token, dot - token, &bytes, &len, &error))
		return NULL;
	header = json_loadb((char *) bytes, len, JSON_REJECT_DUPLICATES, NULL);
	free(bytes);
	if (header && !json_is_object(header))
	{
		json_decref(header);
		return NULL;
	}
	return header;
}

/* Is a claim a number of seconds?  Missing is -1. */
static bool
read_time(json_t *claims, const char *name, int64 *value)
{
	json_t	   *claim = json_object_get(claims, name);

	*value = -1;
	if (claim == NULL)
		return true;
	if (!json_is_number(claim) || json_number_value(claim) < 0 || json_number_value(claim) > 1e15)
		return false;
	*value = (int64) json_number_value(claim);
	return true;
}

/* Is it the text, or an array that has it? */
static bool
names_audience(json_t *audience, const char *wanted)
{
	json_t	   *element;
	size_t		index;

	if (json_is_string(audience))
		return strcmp(json_string_value(audience), wanted) == 0;
	json_array_foreach(audience, index, element)
		if (json_is_string(element) && strcmp(json_string_value(element), wanted) == 0)
			return true;
	return false;
}

/* What is wrong with the claims of a token whose signature is right; NULL if nothing. */
static const char *
check_claims(json_t *json, Claims *claims)
{
	int64		now = time(NULL);
	int64		not_before;
	json_t	   *subject;
	const char *issuer;

	if (!json_is_object(json))
		return "the claims are no JSON object";
	if (!read_time(json, "exp", &claims->expires) || !read_time(json, "nbf", &not_before))
		return "exp or nbf is not a time";
	if (claims->expires < 0)
		return "the token has no exp";
	if (claims->expires + LEEWAY <= now)
		return "the token has expired";
	if (not_before > now + LEEWAY)
		return "the token is not valid yet";
	if (gateway.options.audience && !names_audience(json_object_get(json, "aud"), gateway.options.audience))
		return "the token is for another audience";
	issuer = json_string_value(json_object_get(json, "iss"));
	if (gateway.options.issuer && (issuer == NULL || strcmp(issuer, gateway.options.issuer) != 0))
		return "the token is of another issuer";
	subject = json_object_get(json, "sub");
	if (subject && !json_is_string(subject))
		return "sub is not a string";
	claims->subject = subject ? xstrdup(json_string_value(subject)) : NULL;
	return NULL;
}

/*
 * Has the token a signature as long as the key makes them (RFC 7518)?  Of a
 * longer one of ES256 the library takes no notice of what is too much.
 */
static bool
has_length(const Key *key, const char *token, size_t len)
{
	const char *signature = strrchr(token, '.') + 1;
	cjose_err	error;
	size_t		bits = 512;		/* ES256: two numbers */

	if (strcmp(key->algorithm, "HS256") == 0)
		bits = 256;
	else if (strcmp(key->algorithm, "RS256") == 0)
		bits = (cjose_jwk_get_keysize(key->jwk, &error) + 7) / 8 * 8;
	return token + len - signature == (bits + 5) / 6;
}

/* Verify with one key.  The payload, if the signature is right; the caller frees it. */
static char *
verify_with(const Key *key, const char *token, size_t len, size_t *payload_len)
{
	cjose_err	error;
	cjose_jws_t *jws = has_length(key, token, len) ? cjose_jws_import(token, len, &error) : NULL;
	uint8_t    *bytes;
	char	   *payload = NULL;

	if (jws == NULL)
		return NULL;
	if (cjose_jws_verify(jws, key->jwk, &error) &&
		cjose_jws_get_plaintext(jws, &bytes, payload_len, &error))
	{
		payload = xmalloc(*payload_len + 1);
		memcpy(payload, bytes, *payload_len);
		payload[*payload_len] = '\0';
	}
	cjose_jws_release(jws);
	return payload;
}

/*
 * Verify a token.  NULL, and what it says, if it is good; otherwise why it is
 * not, in words that may be told to the client.
 */
const char *
jwt_verify(const char *token, size_t len, Claims *claims)
{
	char		text[JWT_MAX + 1];
	char		algorithm[16];
	json_t	   *header;
	json_t	   *json;
	json_t	   *kid;
	char	   *payload = NULL;
	size_t		payload_len = 0;
	const char *why = NULL;

	memset(claims, 0, sizeof(Claims));
	if (len > JWT_MAX)
		return "the token is too long";
	memcpy(text, token, len);
	text[len] = '\0';
	if (!is_compact(text, len) || (header = read_header(text)) == NULL)
		return "the token is malformed";

	strlcpy(algorithm, json_is_string(json_object_get(header, "alg")) ?
			json_string_value(json_object_get(header, "alg")) : "", sizeof(algorithm));
	kid = json_object_get(header, "kid");
	/* crit: something must be understood, and we understand nothing; b64: the payload is something else */
	if (json_object_get(header, "crit") || json_object_get(header, "b64"))
		why = "the token has critical extensions";
	else if (kid && !json_is_string(kid))
		why = "the token is malformed";
	else
	{
		for (const Key *key = keys_first(); key && payload == NULL; key = key->next)
			if (key_fits(key, algorithm, json_string_value(kid)))
				payload = verify_with(key, text, len, &payload_len);
		if (payload == NULL)
			why = "the token's signature is not by a key known here";
	}
	json_decref(header);
	if (why)
		return why;

	/*
	 * What the database reads must be what was checked, so nothing may be there
	 * twice; nor a NUL, where it would stop, and this library does not.
	 */
	json = memchr(payload, '\0', payload_len) ? NULL : json_loadb(payload, payload_len, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		why = "the claims are no JSON object";
	else
		why = check_claims(json, claims);
	json_decref(json);
	if (why)
	{
		free(payload);
		claims_free(claims);
		return why;
	}
	claims->json = payload;
	return NULL;
}
