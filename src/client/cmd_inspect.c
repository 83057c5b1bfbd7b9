/*-------------------------------------------------------------------------
 *
 * cmd_inspect.c
 *	  wflog inspect: everything about one execution, once or as it changes.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "inspect.h"
#include "output.h"
#include "style.h"
#include "text.h"

#define WATCH_MILLISECONDS 1000
#define TAKE_SCREEN "\033[?1049h\033[?25l"
#define GIVE_SCREEN_BACK "\033[?25h\033[?1049l"

static const char help_text[] =
"Usage: wflog inspect EXECUTION [OPTION]...\n"
"\n"
"Shows an execution: its status, times and progress, its steps with input, last\n"
"lines of output, duration and outcome of each attempt, the last error with its\n"
"stack trace, milestones, counts, and the audit trail of its status.\n"
"\n"
"      --watch          show it again every second, until it has ended\n"
"      --json           one JSON object; with --watch one a line, on each change\n"
"      --utc            times in UTC, not local\n"
"      --color=WHEN     auto, always, never; NO_COLOR is heeded\n"
"      --help           this text\n"
"\n"
CONNECT_HELP;

enum
{
	OPT_WATCH = 512,
	OPT_JSON,
	OPT_UTC,
	OPT_COLOR
};

static bool screen_taken = false;

/* Give the terminal back as it was. */
static void
give_screen_back(void)
{
	if (screen_taken)
	{
		buffer_string(&output.pending, GIVE_SCREEN_BACK);
		screen_taken = false;
		output_flush();
	}
	/* not before it is out: a second signal may come at any moment */
	at_abrupt_end = NULL;
}

/* Show as many lines as the window has, over what it shows. */
static void
show_on_screen(const Buffer *text)
{
	struct winsize size;
	int			lines = 24;
	const char *at = text->data;
	const char *end = at + text->len;

	if (!screen_taken)
		buffer_string(&output.pending, TAKE_SCREEN);
	screen_taken = true;
	at_abrupt_end = GIVE_SCREEN_BACK;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
		lines = size.ws_row;
	buffer_string(&output.pending, "\033[H");
	while (at < end && --lines > 0)
	{
		const char *feed = memchr(at, '\n', end - at);
		size_t		len = feed ? feed - at : end - at;

		buffer_append(&output.pending, at, len);
		buffer_string(&output.pending, "\033[K\r\n");
		at += len + 1;
	}
	if (at < end)
		buffer_string(&output.pending, "...\033[K");
	buffer_string(&output.pending, "\033[J");
	output_flush();
}

/* What changes when something has happened, and not merely as time goes by. */
static void
make_signature(Buffer *signature, const Inspection *inspection)
{
	JsonValue	execution = json_document(inspection->execution, strlen(inspection->execution));
	JsonValue	value = json_find(&execution, "status");

	buffer_clear(signature);
	buffer_append(signature, value.text, value.len);
	value = json_find(&execution, "progress");
	buffer_append(signature, value.text, value.len);
	buffer_string(signature, inspection->summary);
	buffer_printf(signature, "%d", PQntuples(inspection->audit));
}

/* Show it until it has ended; false if it had when we first looked. */
static void
watch(Connection *connection, const char *id, bool json, bool utc)
{
	Buffer		text = {0};
	Buffer		signature = {0};
	Buffer		before = {0};

	at_leave = give_screen_back;
	for (;;)
	{
		Inspection	inspection;
		JsonValue	execution;
		JsonValue	terminal;
		bool		changed;

		inspect(&inspection, connection, id);
		execution = json_document(inspection.execution, strlen(inspection.execution));
		terminal = json_find(&execution, "is_terminal");
		make_signature(&signature, &inspection);
		changed = signature.len != before.len || memcmp(signature.data, before.data, before.len) != 0;
		buffer_clear(&before);
		buffer_append(&before, signature.data, signature.len);

		output_measure();
		buffer_clear(&text);
		if (json)
			show_inspection_json(&inspection, &text);
		else
			show_inspection(&inspection, utc, &text);
		inspection_free(&inspection);
		if (terminal.kind == JSON_TRUE)
		{
			/* the last word stays on the screen */
			give_screen_back();
			buffer_append(&output.pending, text.data, text.len);
			output_flush();
			return;
		}
		if (output.is_terminal && !json)
			show_on_screen(&text);
		else if (changed)
		{
			if (!json)
				buffer_string(&text, "\n");
			buffer_append(&output.pending, text.data, text.len);
			output_flush();
		}
		if (wait_for(-1, false, WATCH_MILLISECONDS) < 0)
			check_interrupt();
	}
}

static int
run_inspect(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"watch", no_argument, NULL, OPT_WATCH},
		{"json", no_argument, NULL, OPT_JSON},
		{"utc", no_argument, NULL, OPT_UTC},
		{"color", required_argument, NULL, OPT_COLOR},
		CONNECT_LONG_OPTIONS,
		{NULL}
	};
	ConnectOptions where = {0};
	ColorMode	color = COLOR_AUTO;
	bool		watched = false;
	bool		json = false;
	bool		utc = false;
	Connection *connection;
	Inspection	inspection;
	int			c;

	while ((c = next_option(argc, argv, CONNECT_SHORT_OPTIONS, long_options)) != -1)
	{
		if (connect_option(&where, c, optarg))
			continue;
		switch (c)
		{
			case OPT_WATCH:
				watched = true;
				break;
			case OPT_JSON:
				json = true;
				break;
			case OPT_UTC:
				utc = true;
				break;
			case OPT_COLOR:
				if (!parse_color_mode(optarg, &color))
					usage_error("--color is auto, always or never, not \"%s\"", optarg);
				break;
		}
	}
	if (optind == argc || argv[optind][0] == '\0')
		usage_error("which execution?");
	if (optind + 1 < argc)
		usage_error("one execution at a time: \"%s\" is too much", argv[optind + 1]);
	output_begin(color);
	interrupts_begin();
	connection = connect_to(&where);
	if (watched)
	{
		watch(connection, argv[optind], json, utc);
		return EXIT_DONE;
	}
	inspect(&inspection, connection, argv[optind]);
	if (json)
		show_inspection_json(&inspection, &output.pending);
	else
		show_inspection(&inspection, utc, &output.pending);
	return EXIT_DONE;
}

const Command inspect_command = {
	"inspect", "show everything about one execution", run_inspect, help_text
};
