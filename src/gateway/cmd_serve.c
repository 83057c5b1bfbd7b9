/*-------------------------------------------------------------------------
 *
 * cmd_serve.c
 *	  wflog serve: the gateway's start and end.
 *
 * SIGHUP reads keys and certificate anew and opens the access log anew, SIGUSR1
 * prints a link where that was asked for.  SIGTERM and SIGINT end it: no new
 * connections, requests under way are answered, streams are told to come back
 * elsewhere; a second signal, or the drain timeout, ends it at once.
 *
 *-------------------------------------------------------------------------
 */
#include "gateway.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>

#include "connection.h"
#include "hub.h"
#include "jwt.h"
#include "pool.h"
#include "request.h"
#include "server.h"
#include "stream.h"
#include "tls.h"

Gateway		gateway;

static struct event drain_timer;
static int64 drain_until;

enum
{
	OPTION_LISTEN = 1000, OPTION_SECRET, OPTION_JWKS, OPTION_AUDIENCE, OPTION_ISSUER, OPTION_ACCESS_LOG,
	OPTION_CORS_ORIGIN, OPTION_TLS_CERT, OPTION_TLS_KEY, OPTION_TLS_MIN_VERSION, OPTION_HSTS,
	OPTION_TRUSTED_PROXY, OPTION_FORWARDED_HEADER,
	OPTION_PRINT_LINK, OPTION_TICKET_LIFETIME,
	OPTION_POOL, OPTION_CONNECT_TIMEOUT, OPTION_QUERY_TIMEOUT, OPTION_LOGS_TIMEOUT, OPTION_HEAD_TIMEOUT,
	OPTION_BODY_TIMEOUT, OPTION_IDLE_TIMEOUT, OPTION_WRITE_TIMEOUT, OPTION_DRAIN_TIMEOUT, OPTION_HEARTBEAT,
	OPTION_MAX_CONNECTIONS, OPTION_MAX_PER_ADDRESS, OPTION_MAX_BODY, OPTION_STREAM_BUFFER
};

static const char serve_help[] =
"wflog serve: the HTTP gateway: pages, summaries and live streams of logs\n"
"\n"
"Usage: wflog serve [OPTION]...\n"
"  --listen=ADDRESS:PORT    where to listen (127.0.0.1:8000); or unix:PATH\n"
"  --tls-cert-file=FILE, --tls-key-file=FILE     speak HTTPS\n"
"  --tls-min-version=1.2|1.3 (1.2), --hsts-max-age=S     of HTTPS\n"
"  --trusted-proxy=ADDRESS[/BITS], --forwarded-header=NAME     whom to believe\n"
"  --access-log=FILE        a line of JSON for each request; \"-\" is stdout\n"
"  --cors-origin=ORIGIN     whose pages may read answers; \"*\": any; repeatable\n"
"  --jwt-secret-file=FILE   verify tokens by a secret (HS256), 32 bytes at least\n"
"  --jwks-file=FILE         verify them by a JSON Web Key Set; one of the two\n"
"  --audience=TEXT, --issuer=TEXT     take only tokens that are for it, or of it\n"
"  --print-link=USER        print a link that makes one USER; on loopback only\n"
"  --pool=N                 connections to the database (10)\n"
"  --stream-buffer=BYTES    events kept for each execution followed (1048576)\n"
"  --max-connections=N (20000), --max-per-address=N (1000), --max-body=BYTES (1M)\n"
"Times in seconds, for a query and so on: --ticket-lifetime (30),\n"
"  --connect-timeout (5)    --query-timeout (60)     --logs-timeout (90)\n"
"  --head-timeout (10)      --body-timeout (60)      --idle-timeout (75)\n"
"  --write-timeout (30)     --drain-timeout (10)     --heartbeat (15)\n"
CONNECT_HELP
"The role it connects as must be a member of wflog_gateway.\n";

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"jwt-secret-file", required_argument, NULL, OPTION_SECRET},
	{"jwks-file", required_argument, NULL, OPTION_JWKS},
	{"audience", required_argument, NULL, OPTION_AUDIENCE},
	{"issuer", required_argument, NULL, OPTION_ISSUER},
	{"access-log", required_argument, NULL, OPTION_ACCESS_LOG},
	{"cors-origin", required_argument, NULL, OPTION_CORS_ORIGIN},
	{"tls-cert-file", required_argument, NULL, OPTION_TLS_CERT},
	{"tls-key-file", required_argument, NULL, OPTION_TLS_KEY},
	{"tls-min-version", required_argument, NULL, OPTION_TLS_MIN_VERSION},
	{"hsts-max-age", required_argument, NULL, OPTION_HSTS},
	{"trusted-proxy", required_argument, NULL, OPTION_TRUSTED_PROXY},
	{"forwarded-header", required_argument, NULL, OPTION_FORWARDED_HEADER},
	{"print-link", required_argument, NULL, OPTION_PRINT_LINK},
	{"ticket-lifetime", required_argument, NULL, OPTION_TICKET_LIFETIME},
	{"pool", required_argument, NULL, OPTION_POOL},
	{"connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT},
	{"query-timeout", required_argument, NULL, OPTION_QUERY_TIMEOUT},
	{"logs-timeout", required_argument, NULL, OPTION_LOGS_TIMEOUT},
	{"head-timeout", required_argument, NULL, OPTION_HEAD_TIMEOUT},
	{"body-timeout", required_argument, NULL, OPTION_BODY_TIMEOUT},
	{"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
	{"write-timeout", required_argument, NULL, OPTION_WRITE_TIMEOUT},
	{"drain-timeout", required_argument, NULL, OPTION_DRAIN_TIMEOUT},
	{"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
	{"max-connections", required_argument, NULL, OPTION_MAX_CONNECTIONS},
	{"max-per-address", required_argument, NULL, OPTION_MAX_PER_ADDRESS},
	{"max-body", required_argument, NULL, OPTION_MAX_BODY},
	{"stream-buffer", required_argument, NULL, OPTION_STREAM_BUFFER},
	CONNECT_LONG_OPTIONS,
	{NULL, 0, NULL, 0}
};

static const GatewayOptions defaults = {
	.listen = "127.0.0.1:8000",
	.tls_min_version = TLS1_2_VERSION,
	.hsts_max_age = -1,
	.pool_size = 10,
	.connect_timeout = 5000,
	.query_timeout = 60000,
	.logs_timeout = 90000,
	.head_timeout = 10000,
	.body_timeout = 60000,
	.idle_timeout = 75000,
	.write_timeout = 30000,
	.drain_timeout = 10000,
	.heartbeat = 15000,
	.ticket_lifetime = 30000,
	.max_connections = 20000,
	.max_per_address = 1000,
	.max_body = 1048576,
	.stream_buffer = 1048576,
};

/* An option in seconds, in milliseconds. */
static int
seconds_option(const char *name, const char *text)
{
	return number_option(name, text, 1, 86400) * 1000;
}

/* Take an option; false if it is none of ours. */
static bool
take_option(GatewayOptions *options, int c, char *argument)
{
	switch (c)
	{
		case OPTION_LISTEN:
			options->listen = argument;
			break;
		case OPTION_SECRET:
			options->jwt_secret_file = argument;
			break;
		case OPTION_JWKS:
			options->jwks_file = argument;
			break;
		case OPTION_AUDIENCE:
			options->audience = argument;
			break;
		case OPTION_ISSUER:
			options->issuer = argument;
			break;
		case OPTION_ACCESS_LOG:
			options->access_log = argument;
			break;
		case OPTION_CORS_ORIGIN:
			if (options->cors_origin_count == MAX_CORS_ORIGINS)
				usage_error("--cors-origin can be given %d times", MAX_CORS_ORIGINS);
			options->cors_origins[options->cors_origin_count++] = argument;
			break;
		case OPTION_TLS_CERT:
			options->tls_cert_file = argument;
			break;
		case OPTION_TLS_KEY:
			options->tls_key_file = argument;
			break;
		case OPTION_TLS_MIN_VERSION:
			if (strcmp(argument, "1.2") != 0 && strcmp(argument, "1.3") != 0)
				usage_error("--tls-min-version must be 1.2 or 1.3, not \"%s\"", argument);
			options->tls_min_version = argument[2] == '2' ? TLS1_2_VERSION : TLS1_3_VERSION;
			break;
		case OPTION_HSTS:
			options->hsts_max_age = number_option("--hsts-max-age", argument, 0, INT_MAX);
			break;
		case OPTION_TRUSTED_PROXY:
			trusted_proxy_add(argument);
			break;
		case OPTION_FORWARDED_HEADER:
			options->forwarded_by_rfc = pg_strcasecmp(argument, "Forwarded") == 0;
			if (!options->forwarded_by_rfc && pg_strcasecmp(argument, "X-Forwarded-For") != 0)
				usage_error("--forwarded-header must be X-Forwarded-For or Forwarded, not \"%s\"", argument);
			break;
		case OPTION_PRINT_LINK:
			if (argument[0] == '\0')
				usage_error("--print-link needs a user");
			options->link_user = argument;
			break;
		case OPTION_TICKET_LIFETIME:
			options->ticket_lifetime = seconds_option("--ticket-lifetime", argument);
			break;
		case OPTION_POOL:
			options->pool_size = number_option("--pool", argument, 1, 1000);
			break;
		case OPTION_CONNECT_TIMEOUT:
			options->connect_timeout = seconds_option("--connect-timeout", argument);
			break;
		case OPTION_QUERY_TIMEOUT:
			options->query_timeout = seconds_option("--query-timeout", argument);
			break;
		case OPTION_LOGS_TIMEOUT:
			options->logs_timeout = seconds_option("--logs-timeout", argument);
			break;
		case OPTION_HEAD_TIMEOUT:
			options->head_timeout = seconds_option("--head-timeout", argument);
			break;
		case OPTION_BODY_TIMEOUT:
			options->body_timeout = seconds_option("--body-timeout", argument);
			break;
		case OPTION_IDLE_TIMEOUT:
			options->idle_timeout = seconds_option("--idle-timeout", argument);
			break;
		case OPTION_WRITE_TIMEOUT:
			options->write_timeout = seconds_option("--write-timeout", argument);
			break;
		case OPTION_DRAIN_TIMEOUT:
			options->drain_timeout = seconds_option("--drain-timeout", argument);
			break;
		case OPTION_HEARTBEAT:
			options->heartbeat = seconds_option("--heartbeat", argument);
			break;
		case OPTION_MAX_CONNECTIONS:
			options->max_connections = number_option("--max-connections", argument, 1, 1000000);
			break;
		case OPTION_MAX_PER_ADDRESS:
			options->max_per_address = number_option("--max-per-address", argument, 1, 1000000);
			break;
		case OPTION_MAX_BODY:
			options->max_body = number_option("--max-body", argument, 0, 1073741823);
			break;
		case OPTION_STREAM_BUFFER:
			options->stream_buffer = number_option("--stream-buffer", argument, 1024, 1073741823);
			break;
		default:
			return false;
	}
	return true;
}

/* ---- signals ---- */

static void
on_hangup(evutil_socket_t signo, short what, void *arg)
{
	service_notify("RELOADING=1");
	access_log_open();
	if (keys_load())
		say("the keys have been read anew");
	else
		warn("the keys stay as they were");
	if (!tls_load())
		warn("the certificate stays what it was");
	else if (tls_is_on())
		say("the certificate has been read anew");
	service_notify("READY=1");
}

static void
on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
	if (conn_count == 0 || clock_ms() >= drain_until)
		event_base_loopbreak(gateway.base);
}

/* End, when what is under way is done. */
void
gateway_drain(void)
{
	struct timeval often = {0, 20000};

	gateway.draining = true;
	service_notify("STOPPING=1");
	drain_until = clock_ms() + gateway.options.drain_timeout;
	server_end();
	conn_drain_all();
	event_assign(&drain_timer, gateway.base, -1, EV_PERSIST, on_drain_timer, NULL);
	event_add(&drain_timer, &often);
}

/* Another link is asked for. */
static void
on_user_signal(evutil_socket_t signo, short what, void *arg)
{
	link_print(gateway.options.link_user);
}

static void
on_terminate(evutil_socket_t signo, short what, void *arg)
{
	if (gateway.draining)
		event_base_loopbreak(gateway.base);
	else
	{
		say("ending");
		gateway_drain();
	}
}

/* ---- the start ---- */

/*
 * See that the database is there, has the extension, and believes the claims
 * that we hand down.  Blocks, which it may here.
 */
static void
check_database(const ConnectOptions *options)
{
	Connection *connection = connect_to(options);
	PGresult   *result = query(connection, "SELECT wflog.gateway_channel()", 0, NULL);

	if (!query_succeeded(result) && result_has_state(result, "42501"))
		fail(EXIT_FAILED, "Run there, as a superuser: GRANT wflog_gateway TO the role;",
			 "role \"%s\" is not a member of wflog_gateway", PQuser(connection->pg));
	if (!query_succeeded(result) && !result_has_state(result, "25006"))
		fail_with_result(connection, result);
	PQclear(result);
	connection_close(connection);
	gateway.database = connection;
}

/* As many file descriptors as we may have: each connection is one. */
static void
raise_descriptors(void)
{
	struct rlimit limit;
	rlim_t		wanted = gateway.options.max_connections + gateway.options.pool_size + 32;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < limit.rlim_max)
	{
		limit.rlim_cur = limit.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < wanted)
		warn("only %llu files may be open, which is less than --max-connections needs",
			 (unsigned long long) limit.rlim_cur);
}

/*
 * Print a link, and another one at each SIGUSR1.  Who can give us an option or
 * send us a signal on this machine is trusted with it; but who follows the link
 * is not asked who he is, so it must not be followed from elsewhere.
 */
static void
begin_links(void)
{
	static struct event user_signal;

	if (!server_is_loopback())
		fail(EXIT_USAGE, "Listen on 127.0.0.1, or give people tokens.",
			 "--print-link is for gateways that listen on loopback only");
	evsignal_assign(&user_signal, gateway.base, SIGUSR1, on_user_signal, NULL);
	event_add(&user_signal, NULL);
	link_print(gateway.options.link_user);
}

static int
run_serve(int argc, char **argv)
{
	static struct event hangup;
	static struct event terminate;
	static struct event interrupt;
	ConnectOptions connect_options = {0};
	int			c;

	gateway.options = defaults;
	while ((c = next_option(argc, argv, CONNECT_SHORT_OPTIONS, long_options)) != -1)
		if (!connect_option(&connect_options, c, optarg) && !take_option(&gateway.options, c, optarg))
			usage_error("there is no such option");
	if (optind < argc)
		usage_error("there is nothing to be done with \"%s\"", argv[optind]);
	if (gateway.options.jwt_secret_file == NULL && gateway.options.jwks_file == NULL)
		usage_error("there is no key to verify tokens with: give --jwt-secret-file or --jwks-file");
	if ((gateway.options.tls_cert_file == NULL) != (gateway.options.tls_key_file == NULL))
		usage_error("--tls-cert-file and --tls-key-file need one another");
	if (!keys_load() || !tls_load())
		return EXIT_FAILED;
	check_database(&connect_options);

	signal(SIGPIPE, SIG_IGN);
	srandom(time(NULL) ^ getpid());
	gateway.started_ms = clock_ms();
	gateway.base = event_base_new();
	if (gateway.base == NULL)
		fail(EXIT_FAILED, NULL, "could not make an event loop");
	raise_descriptors();
	access_log_open();
	evsignal_assign(&hangup, gateway.base, SIGHUP, on_hangup, NULL);
	evsignal_assign(&terminate, gateway.base, SIGTERM, on_terminate, NULL);
	evsignal_assign(&interrupt, gateway.base, SIGINT, on_terminate, NULL);
	event_add(&hangup, NULL);
	event_add(&terminate, NULL);
	event_add(&interrupt, NULL);
	pool_begin();
	listener_begin();
	streams_begin();
	server_begin();
	if (gateway.options.link_user)
		begin_links();
	service_notify("READY=1");
	event_base_dispatch(gateway.base);
	listener_end();
	pool_end();
	say("ended");
	return EXIT_DONE;
}

const Command serve_command = {
	.name = "serve",
	.summary = "the HTTP gateway: pages, summaries, live streams",
	.run = run_serve,
	.help = serve_help
};
