/*-------------------------------------------------------------------------
 *
 * access_log.c
 *	  One line of JSON for each request.
 *
 * Queries are left out, because tokens may be in them.  A stream has its line
 * when it begins.
 *
 *-------------------------------------------------------------------------
 */
#include "request.h"

#include "jsonscan.h"

#include <fcntl.h>
#include <unistd.h>

static int	log_fd = -1;

/* Open it, or open it anew where it has been moved away; on failure the old one goes on. */
void
access_log_open(void)
{
	const char *name = gateway.options.access_log;
	int			fd;

	if (name == NULL)
		return;
	if (strcmp(name, "-") == 0)
	{
		log_fd = STDOUT_FILENO;
		return;
	}
	fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
	{
		complain("could not open the access log \"%s\": %s", name, strerror(errno));
		return;
	}
	if (log_fd > STDERR_FILENO)
		close(log_fd);
	log_fd = fd;
}

/* A request has been answered. */
void
access_log(const Request *request, int status, size_t bytes)
{
	static Buffer line;
	static bool failing = false;
	int64		took = clock_us() - request->begun;
	const Conn *conn = request->conn;
	char		address[ADDRESS_TEXT_SIZE];

	if (log_fd < 0)
		return;
	buffer_clear(&line);
	buffer_string(&line, "{\"time\":\"");
	append_timestamp(&line, wall_us());
	buffer_printf(&line, "\",\"request_id\":\"%s\"", request->id);
	if (request->trace_id[0])
		buffer_printf(&line, ",\"trace_id\":\"%s\"", request->trace_id);
	buffer_printf(&line, ",\"client\":\"%s\"", address_text(&request->client, address));
	if (memcmp(&request->client, &conn->peer, sizeof(Address)) != 0)
		buffer_printf(&line, ",\"proxy\":\"%s\"", address_text(&conn->peer, address));
	buffer_string(&line, ",\"method\":");
	json_quote(&line, request->http.method.at, request->http.method.len);
	buffer_string(&line, ",\"path\":");
	json_quote(&line, request->http.path.at, request->http.path.len);
	buffer_printf(&line, ",\"status\":%d,\"bytes\":%zu,\"ms\":%.3f,\"database_ms\":%.3f", status, bytes,
				  took / 1000.0, request->database_us / 1000.0);
	if (request->claims.subject)
	{
		buffer_string(&line, ",\"user\":");
		json_quote(&line, request->claims.subject, strlen(request->claims.subject));
	}
	buffer_string(&line, "}\n");
	if (write(log_fd, line.data, line.len) == line.len)
		failing = false;
	else if (!failing)
	{
		failing = true;
		complain("could not write the access log: %s", strerror(errno));
	}
}
