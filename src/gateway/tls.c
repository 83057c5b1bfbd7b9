/*-------------------------------------------------------------------------
 *
 * tls.c
 *	  The gateway's certificate and key, and how TLS is spoken.
 *
 * Ciphers and curves are those of OpenSSL and of the system's configuration,
 * which know better than a list of ours in some years.  There is neither
 * renegotiation nor compression; sessions are resumed by tickets alone, so that
 * nothing is kept of clients that have left.
 *
 * After SIGHUP certificate and key are read anew.  A pair that cannot be used
 * leaves the old one in use; connections keep the one they began with.
 *
 *-------------------------------------------------------------------------
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static SSL_CTX *context = NULL;

/* What OpenSSL has to say, the error that was first. */
static const char *
reason(void)
{
	unsigned long code = ERR_get_error();
	const char *text = ERR_reason_error_string(code);

	ERR_clear_error();
	return text ? text : "OpenSSL does not say why";
}

/*
 * A key that others may read is refused, by the rule of PostgreSQL: it is ours
 * and nobody else may read it, or it is root's and our group may.
 */
static bool
key_is_guarded(const char *name)
{
	struct stat status;

	if (stat(name, &status) != 0)
		complain("could not open the key file \"%s\": %s", name, strerror(errno));
	else if (!S_ISREG(status.st_mode))
		complain("the key file \"%s\" is not a regular file", name);
	else if (status.st_uid != geteuid() && status.st_uid != 0)
		complain("the key file \"%s\" must belong to who runs wflog, or to root", name);
	else if ((status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO))) ||
			 (status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))))
	{
		complain("the key file \"%s\" can be read by others", name);
		hint("Its mode must be 0600 or less, or 0640 or less if it belongs to root.");
	}
	else
		return true;
	return false;
}

/* There is nobody at a terminal to be asked. */
static int
no_passphrase(char *buffer, int size, int is_for_writing, void *arg)
{
	*(bool *) arg = true;
	return -1;
}

static bool
load_pair(SSL_CTX *into, const char *cert_file, const char *key_file)
{
	bool		has_passphrase = false;

	ERR_clear_error();
	if (access(cert_file, R_OK) != 0)
	{
		complain("could not open the certificate file \"%s\": %s", cert_file, strerror(errno));
		return false;
	}
	if (SSL_CTX_use_certificate_chain_file(into, cert_file) != 1)
	{
		complain("could not use the certificate in \"%s\": %s", cert_file, reason());
		return false;
	}
	if (!key_is_guarded(key_file))
		return false;
	if (access(key_file, R_OK) != 0)
	{
		complain("could not open the key file \"%s\": %s", key_file, strerror(errno));
		return false;
	}
	SSL_CTX_set_default_passwd_cb(into, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(into, &has_passphrase);
	if (SSL_CTX_use_PrivateKey_file(into, key_file, SSL_FILETYPE_PEM) != 1)
	{
		complain("could not use the key in \"%s\": %s", key_file, has_passphrase ? "it has a passphrase" : reason());
		return false;
	}
	if (SSL_CTX_check_private_key(into) != 1)
	{
		complain("the key in \"%s\" is not that of the certificate in \"%s\"", key_file, cert_file);
		return false;
	}
	return true;
}

/* Of the protocols that a client offers, ours; if it is not among them there is no connection. */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
				const unsigned char *offered, unsigned int offered_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **) out, out_len, ours, sizeof(ours) - 1, offered,
							  offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* When the certificate expires, in seconds since 1970; -1: it does not say. */
int64
tls_expires(void)
{
	X509	   *certificate = SSL_CTX_get0_certificate(context);
	struct tm	end;

	if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
		return -1;
	return timegm(&end);
}

/*
 * Load certificate and key, if there are to be any.  False: they cannot be
 * used, which has been said; what was loaded before stays.
 */
bool
tls_load(void)
{
	const GatewayOptions *options = &gateway.options;
	SSL_CTX    *loaded;

	if (!tls_is_on())
		return true;
	loaded = SSL_CTX_new(TLS_server_method());
	if (loaded == NULL)
	{
		complain("could not begin with TLS: %s", reason());
		return false;
	}
	(void) SSL_CTX_set_min_proto_version(loaded, options->tls_min_version);
	SSL_CTX_set_options(loaded, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(loaded, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(loaded, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(loaded, choose_protocol, NULL);
	if (!load_pair(loaded, options->tls_cert_file, options->tls_key_file))
	{
		SSL_CTX_free(loaded);
		return false;
	}
	SSL_CTX_free(context);
	context = loaded;
	if (tls_expires() >= 0 && tls_expires() < time(NULL))
		warn("the certificate in \"%s\" has expired", options->tls_cert_file);
	return true;
}

/* A connection's TLS, for its socket; NULL if there is no memory. */
SSL *
tls_new(int fd)
{
	SSL		   *ssl = SSL_new(context);

	if (ssl && SSL_set_fd(ssl, fd) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}
