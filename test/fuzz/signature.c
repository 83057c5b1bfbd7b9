/*
 * Fuzzer of the signatures of tokens, src/gateway/jwt.c, with keys of all three
 * kinds: RS256, ES256, HS256.  How it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/jwt.c src/gateway/keys.c src/client/buffer.c src/client/jsonscan.c
 *
 * An input of three lines says how to sign, and has a header and claims, which are
 * signed so, whatever the header says; any other is a token as a client might send
 * it.  The first line has the letter of a signer and then, if wanted, of what is done
 * to the signature.  The keys are made at the start.
 *
 * What must hold:
 *   - a token that is accepted has a signature for the algorithm that its header
 *     names, by the key that is for that, by a second calculation; no public key
 *     is the key of an HMAC;
 *   - a token that has one is not refused for its signature;
 *   - the claims of an accepted token are those that were signed;
 *   - with anything changed, lost or put at its end it is refused.
 */
#include "token.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "target.h"

#define SECRET "a secret for fuzzers that is long enough"
#define FIELD_BYTES 32			/* of a coordinate of P-256, and of half a signature */
#define MAX_SIGNATURE 1024

long		fuzz_accepted = 0;
const char *const fuzz_likely = "RPESDKJXMZtlzhRSEHP256\"{}:,.\\\n kidalgcrtb-_AB";

Gateway		gateway;

static EVP_PKEY *rsa_key;
static EVP_PKEY *ec_key;

/* What is public of them, in the forms in which it might be taken for a secret. */
static Buffer rsa_pem;
static Buffer rsa_jwk;
static Buffer rsa_modulus;
static Buffer ec_point;

/* keys.c says what is wrong with a file; here nothing is. */
void
complain(const char *fmt,...)
{
	MUST(!"the keys were not taken");
}

/* ---- keys ---- */

/* A number of a key, as many bytes as it has, but at least so many. */
static void
take_number(Buffer *out, EVP_PKEY *key, const char *name, int least)
{
	unsigned char bytes[MAX_SIGNATURE];
	BIGNUM	   *number = NULL;
	int			len;

	MUST(EVP_PKEY_get_bn_param(key, name, &number));
	len = BN_num_bytes(number) > least ? BN_num_bytes(number) : least;
	MUST(len <= MAX_SIGNATURE && BN_bn2binpad(number, bytes, len) == len);
	buffer_append(out, (char *) bytes, len);
	BN_free(number);
}

static void
append_encoded(Buffer *out, const char *name, const Buffer *number, size_t at, size_t len)
{
	buffer_printf(out, ",\"%s\":\"", name);
	append_base64url(out, (unsigned char *) number->data + at, len);
	buffer_char(out, '"');
}

static void
begin(void)
{
	BIO		   *pem = BIO_new(BIO_s_mem());
	Buffer		set = {0};
	char	   *bytes;
	long		len;

	rsa_key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2048);
	ec_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	MUST(rsa_key && ec_key && pem && PEM_write_bio_PUBKEY(pem, rsa_key));
	len = BIO_get_mem_data(pem, &bytes);
	buffer_append(&rsa_pem, bytes, len);
	BIO_free(pem);
	take_number(&rsa_modulus, rsa_key, OSSL_PKEY_PARAM_RSA_N, 0);
	buffer_char(&ec_point, 4);	/* not compressed */
	take_number(&ec_point, ec_key, OSSL_PKEY_PARAM_EC_PUB_X, FIELD_BYTES);
	take_number(&ec_point, ec_key, OSSL_PKEY_PARAM_EC_PUB_Y, FIELD_BYTES);

	buffer_string(&rsa_jwk, "{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\"");
	append_encoded(&rsa_jwk, "n", &rsa_modulus, 0, rsa_modulus.len);
	buffer_char(&rsa_jwk, '}');
	buffer_string(&set, "{\"keys\":[");
	buffer_append(&set, rsa_jwk.data, rsa_jwk.len);
	buffer_string(&set, ",{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\"");
	append_encoded(&set, "x", &ec_point, 1, FIELD_BYTES);
	append_encoded(&set, "y", &ec_point, 1 + FIELD_BYTES, FIELD_BYTES);
	buffer_string(&set, "}]}");
	gateway.options.jwks_file = file_of(set.data, set.len);
	gateway.options.jwt_secret_file = file_of(SECRET, strlen(SECRET));
	MUST(keys_load());
	buffer_free(&set);
}

/* ---- signing ---- */

/* A signature as OpenSSL writes it; returns its length. */
static size_t
sign(EVP_PKEY *key, bool pss, const Buffer *text, unsigned char *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how;
	size_t		len = MAX_SIGNATURE;

	MUST(context && EVP_DigestSignInit(context, &how, EVP_sha256(), NULL, key));
	if (pss)
		MUST(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0);
	MUST(EVP_DigestSign(context, out, &len, (unsigned char *) text->data, text->len));
	EVP_MD_CTX_free(context);
	return len;
}

/* A signature of the elliptic curve as tokens have it: two numbers of the same length. */
static size_t
sign_raw(const Buffer *text, unsigned char *out)
{
	unsigned char der[MAX_SIGNATURE];
	const unsigned char *at = der;
	ECDSA_SIG  *pair = d2i_ECDSA_SIG(NULL, &at, sign(ec_key, false, text, der));

	MUST(pair != NULL);
	MUST(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, FIELD_BYTES) == FIELD_BYTES);
	MUST(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + FIELD_BYTES, FIELD_BYTES) == FIELD_BYTES);
	ECDSA_SIG_free(pair);
	return 2 * FIELD_BYTES;
}

static size_t
hmac(const char *key, size_t key_len, const Buffer *text, unsigned char *out)
{
	unsigned	len = 0;

	MUST(HMAC(EVP_sha256(), key, key_len, (unsigned char *) text->data, text->len, out, &len));
	return len;
}

/* The signature that a letter stands for; another one has none. */
static size_t
sign_as(char letter, const Buffer *text, unsigned char *out)
{
	switch (letter)
	{
		case 'R':
			return sign(rsa_key, false, text, out);
		case 'P':
			return sign(rsa_key, true, text, out);
		case 'E':
			return sign_raw(text, out);
		case 'D':
			return sign(ec_key, false, text, out);
		case 'S':
			return hmac(SECRET, strlen(SECRET), text, out);
		case 'K':
			return hmac(rsa_pem.data, rsa_pem.len, text, out);
		case 'J':
			return hmac(rsa_jwk.data, rsa_jwk.len, text, out);
		case 'M':
			return hmac(rsa_modulus.data, rsa_modulus.len, text, out);
		case 'X':
			return hmac(ec_point.data, ec_point.len, text, out);
		case 'Z':
			memset(out, 0, 2 * FIELD_BYTES);
			return 2 * FIELD_BYTES;
	}
	return 0;
}

/* What is done to a signature, by a letter; another one is nothing.  Returns its length. */
static size_t
spoil(char letter, unsigned char *signature, size_t len)
{
	size_t		some = 1 + draw(40);

	switch (letter)
	{
		case 't':				/* shorter */
			return len > some ? len - some : 0;
		case 'l':				/* longer */
			memset(signature + len, draw(256), some);
			return len + some;
		case 'z':				/* with zeros in front */
			memmove(signature + some, signature, len);
			memset(signature, 0, some);
			return len + some;
		case 'h':				/* the halves the other way round */
			for (size_t i = 0; i < len / 2; i++)
			{
				unsigned char byte = signature[i];

				signature[i] = signature[len / 2 + i];
				signature[len / 2 + i] = byte;
			}
	}
	return len;
}

/* ---- a second calculation ---- */

static bool
verifies(EVP_PKEY *key, const char *text, size_t len, const unsigned char *signature, size_t signature_len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		good;

	MUST(context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key));
	good = EVP_DigestVerify(context, signature, signature_len, (const unsigned char *) text, len) == 1;
	EVP_MD_CTX_free(context);
	return good;
}

static bool
verifies_raw(const char *text, size_t len, const unsigned char *signature)
{
	ECDSA_SIG  *pair = ECDSA_SIG_new();
	unsigned char *der = NULL;
	int			der_len;
	bool		good;

	MUST(pair && ECDSA_SIG_set0(pair, BN_bin2bn(signature, FIELD_BYTES, NULL),
								BN_bin2bn(signature + FIELD_BYTES, FIELD_BYTES, NULL)));
	der_len = i2d_ECDSA_SIG(pair, &der);
	MUST(der_len > 0);
	good = verifies(ec_key, text, len, der, der_len);
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	return good;
}

/* Has a token a signature for this algorithm? */
static bool
is_signed_for(const char *token, size_t len, const char *algorithm)
{
	const char *dot = memrchr(token, '.', len);
	unsigned char signature[8192];
	unsigned char again[EVP_MAX_MD_SIZE];
	size_t		text_len = dot ? dot - token : 0;
	Buffer		text = {(char *) token, text_len, text_len};
	int			signature_len = dot ? decode_base64url(signature, dot + 1, len - text_len - 1) : -1;

	if (signature_len < 0)
		return false;
	if (strcmp(algorithm, "RS256") == 0)
		return verifies(rsa_key, token, text_len, signature, signature_len);
	if (strcmp(algorithm, "ES256") == 0)
		return signature_len == 2 * FIELD_BYTES && verifies_raw(token, text_len, signature);
	return signature_len == hmac(SECRET, strlen(SECRET), &text, again) &&
		memcmp(signature, again, signature_len) == 0;
}

/* The algorithm that a token's header names, if that is plain and one of ours; else NULL. */
static const char *
algorithm_of(const char *token, size_t len)
{
	static const char *const ours[] = {"RS256", "ES256", "HS256"};
	static unsigned char bytes[8192];
	const char *dot = memchr(token, '.', len);
	int			header_len = dot ? decode_base64url(bytes, token, dot - token) : -1;
	JsonValue	header;
	JsonValue	algorithm;

	if (header_len < 0 || memchr(bytes, '\\', header_len))
		return NULL;
	header = json_document((char *) bytes, header_len);
	algorithm = json_find(&header, "alg");
	for (int i = 0; i < COUNT(ours); i++)
		if (json_is(&algorithm, ours[i]) && json_find(&header, "kid").kind == JSON_MISSING)
			return ours[i];
	return NULL;
}

/* ---- what must hold ---- */

/* Verify a token.  The claims that were signed, or NULL. */
static void
check_token(const char *token, size_t len, const char *signed_claims, size_t signed_len)
{
	char	   *copy = own_block(token, len);
	const char *named = len <= JWT_MAX ? algorithm_of(token, len) : NULL;
	Claims		claims;
	const char *why = jwt_verify(copy, len, &claims);

	free(copy);
	if (why)
	{
		MUST(why[0] != '\0' && claims.json == NULL && claims.subject == NULL);
		if (named && signed_claims && strstr(why, "signature"))
			MUST(!is_signed_for(token, len, named));
		return;
	}
	/* one that is written with escapes, or has a kid, is one of the three all the same */
	if (named)
		MUST(is_signed_for(token, len, named));
	else
		MUST(is_signed_for(token, len, "RS256") || is_signed_for(token, len, "ES256") ||
			 is_signed_for(token, len, "HS256"));
	if (signed_claims)
		MUST(strlen(claims.json) == signed_len && memcmp(claims.json, signed_claims, signed_len) == 0);
	check_claims(&claims);
	claims_free(&claims);
	check_changes(token, len);
	fuzz_accepted++;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *) data;
	const char *end = bytes + size;
	const char *header = size > 0 ? memchr(bytes, '\n', size) : NULL;
	const char *claims = header ? memchr(header + 1, '\n', end - header - 1) : NULL;
	unsigned char signature[2 * MAX_SIGNATURE];
	Buffer		token = {0};
	size_t		len;

	if (size > 5000)
		return 0;
	if (rsa_key == NULL)
		begin();
	model_state = MODEL_STATE + size;
	if (claims == NULL)
	{
		check_token(bytes, size, NULL, 0);
		return 0;
	}
	header++;
	claims++;
	append_base64url(&token, (const unsigned char *) header, claims - 1 - header);
	buffer_char(&token, '.');
	append_base64url(&token, (const unsigned char *) claims, end - claims);
	len = sign_as(bytes[0], &token, signature);
	if (header - bytes > 2)
		len = spoil(bytes[1], signature, len);
	buffer_char(&token, '.');
	append_base64url(&token, signature, len);
	check_token(token.data, token.len, claims, end - claims);
	buffer_free(&token);
	return 0;
}
