/*
 * Fuzzer of the ids of streams of several executions, src/gateway/stream_id.c.
 * How it is run: driver.c, test/README.md.
 *
 * Sources: src/gateway/stream_id.c src/client/buffer.c
 *
 * What must hold for any bytes:
 *   - what is taken has hashes and cursors of the right letters, no execution twice,
 *     and no more executions than there is room for;
 *   - what is made of it again is the same but for zeros before the floor, and is
 *     taken again.
 */
#include "model.h"

#include "stream_id.h"

#include "target.h"

long		fuzz_accepted = 0;
const char *const fuzz_likely = "~0123456789abcdefoexmw1.sA-_ ";

static void
write_id(Buffer *out, const StreamId *id)
{
	buffer_clear(out);
	stream_id_begin(out, id->of_workflow, id->floor);
	for (int i = 0; i < id->count; i++)
		stream_id_entry(out, id->entries[i].hash, id->entries[i].state, id->entries[i].cursor);
}

static void
check_entries(StreamId *id)
{
	MUST(id->count <= STREAM_ID_ENTRIES && id->floor >= 0);
	for (int i = 0; i < id->count; i++)
	{
		const StreamIdEntry *entry = &id->entries[i];

		MUST(strlen(entry->hash) == STREAM_ID_HASH && strspn(entry->hash, "0123456789abcdefABCDEF") == STREAM_ID_HASH);
		MUST(entry->state == ENTRY_OPEN || entry->state == ENTRY_ENDED || entry->state == ENTRY_REFUSED);
		MUST(stream_id_find(id, entry->hash) == entry);
		if (entry->cursor)
			MUST(entry->cursor[0] != '\0' && strpbrk(entry->cursor, "~ \r\n") == NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static StreamId id;
	static StreamId again;
	static Buffer text;
	size_t		head;
	size_t		skip = 0;

	if (!stream_id_parse(&id, (const char *) data, size))
	{
		MUST(id.count == 0);
		return 0;
	}
	fuzz_accepted++;
	check_entries(&id);
	write_id(&text, &id);
	head = id.of_workflow ? 3 : 2;
	if (id.of_workflow)
		while (size - skip > 4 && data[3 + skip] == '0' && data[4 + skip] >= '0' && data[4 + skip] <= '9')
			skip++;
	MUST(text.len == size - skip && memcmp(text.data, data, head) == 0 &&
		 memcmp(text.data + head, data + head + skip, size - skip - head) == 0);
	MUST(stream_id_parse(&again, text.data, text.len) && again.count == id.count && again.floor == id.floor);
	stream_id_free(&again);
	stream_id_free(&id);
	return 0;
}
