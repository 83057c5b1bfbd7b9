/*
 * Model test of the spool (src/client/spool*.c): a wrapper that
 * writes and sends at random and is killed at any byte of any write, and
 * others that go on with what it leaves and are killed too.  The "server"
 * takes each batch number once, as append_lines() does with a producer's key.
 *
 * What must hold in the end: the server has every line that had been written
 * when the wrapper was killed, once, and in order; it may have lines of the
 * write that was cut short.
 *
 *	cc -g -D_GNU_SOURCE -Dpwrite=test_pwrite -Dftruncate=test_ftruncate -Dfallocate=test_fallocate \
 *		-fsanitize=address,undefined -Isrc/client -Itest/fuzz -I$(pg_config --includedir-server) \
 *		test/client/spool.c src/client/{spool,spool_read,spool_write,encode,buffer}.c \
 *		-L$(pg_config --pkglibdir) -lpgport -o model && ./model 1000 DIRECTORY
 */
#include "postgres_fe.h"

#include "spool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model.h"
#include "spool_file.h"

/* ---- the server ---- */

static int64_t taken[10000];	/* numbers */
static int	taken_count;
static long received;			/* lines, which say their place */
static long repeats;

static void
server_append(const SpoolWork *work)
{
	const char *at = work->bytes.data;
	const char *end = at + work->bytes.len;

	for (int i = 0; i < taken_count; i++)
		if (taken[i] == work->number)
		{
			repeats++;
			return;
		}
	taken[taken_count++] = work->number;
	while (at < end)
	{
		const char *message = strstr(at, "\"message\":\"line ");
		const char *newline = memchr(at, '\n', end - at);

		MUST(newline != NULL && message != NULL && message < newline);
		MUST(strtol(message + 16, NULL, 10) == received);
		received++;
		at = newline + 1;
	}
}

/* ---- being killed ---- */

static long writes_left = 0;	/* until a write is cut short; 0: never */
static jmp_buf killed;

static void
die(void)
{
	writes_left = 0;
	longjmp(killed, 1);
}

/* The program is built with these in place of the C library's. */
ssize_t
test_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	if (writes_left > 0 && --writes_left == 0)
	{
		MUST(syscall(SYS_pwrite64, fd, bytes, draw((uint32_t) len + 1), at) >= 0);
		die();
	}
	return syscall(SYS_pwrite64, fd, bytes, len, at);
}

int
test_ftruncate(int fd, off_t size)
{
	if (writes_left > 0 && --writes_left == 0)
	{
		if (draw(2))
			MUST(syscall(SYS_ftruncate, fd, size) == 0);
		die();
	}
	return (int) syscall(SYS_ftruncate, fd, size);
}

int
test_fallocate(int fd, int mode, off_t at, off_t len)
{
	if (writes_left > 0 && --writes_left == 0)
		die();
	return (int) syscall(SYS_fallocate, fd, mode, at, len);
}

/* Buffers of whom is killed are not freed. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* ---- the wrapper ---- */

static long written;			/* lines in the file for certain */
static Spool *current;

/* Add some lines, and write them. */
static void
write_lines(Spool *spool, long *next)
{
	char		text[3000];

	for (int n = 1 + draw(draw(10) ? 20 : 2500); n > 0; n--)
	{
		int			len = sprintf(text, "line %ld ", (*next)++);
		int			more = draw(draw(20) ? 30 : 2900);

		memset(text + len, 'x', more);
		spool_add_line(spool, 1795327200000000 + *next, draw(2), (LinePart) draw(5), text, len + more);
	}
	spool_write(spool);
	MUST(spool->gathered_items == 0);
}

/* Send one batch; it may be committed without our being told. */
static void
send(Spool *spool, bool hear)
{
	SpoolWork	work = {0};

	if (spool_take(spool, &work, 1 + draw(300)))
	{
		MUST(!work.is_call);
		if (hear || draw(2))
			server_append(&work);
		if (hear)
			spool_done(spool, &work);
	}
	buffer_free(&work.bytes);
}

/* Others go on with the file until it is empty. */
static void
replay(const char *path)
{
	for (;;)
	{
		writes_left = 0;
		current = NULL;
		if (setjmp(killed) == 0)
		{
			writes_left = draw(3) ? 0 : 1 + draw(10);
			current = spool_open(path);
			MUST(current != NULL);
			MUST(current->damaged_at == 0);
			while (!spool_is_empty(current))
				send(current, draw(4) != 0);
			writes_left = 0;
			spool_close(current, true);
			return;
		}
		if (current)
			spool_close(current, false);
		else
		{
			/* killed while it was opened: its descriptor is the one opened last */
			int			fd = open("/dev/null", O_RDONLY);

			close(fd);
			close(fd - 1);
		}
	}
}

static void
play(const char *directory)
{
	char		path[1024];
	static long next;

	snprintf(path, sizeof(path), "%s/model.spool", directory);
	taken_count = 0;
	received = written = next = 0;
	writes_left = 0;
	current = spool_create(directory, "model", "key", "target", "\"execution_id\":\"e\"",
						   ",\"node_id\":\"n\"", UINT64_MAX);
	MUST(current != NULL);
	if (setjmp(killed) == 0)
	{
		writes_left = 1 + draw(60);
		for (;;)
		{
			written = next;
			if (draw(2))
				write_lines(current, &next);
			else
				send(current, draw(5) != 0);
			MUST(spool_open(path) == NULL && errno == EWOULDBLOCK); /* it is in use */
		}
	}
	spool_close(current, false);
	replay(path);
	MUST(received >= written && received <= next);
}

/* Whatever bytes a file has, opening it ends well. */
static void
play_damaged(const char *directory)
{
	char		path[1024];
	Spool	   *spool = spool_create(directory, "damaged", "key", "target", "\"execution_id\":\"e\"", "",
									 UINT64_MAX);
	SpoolWork	work = {0};
	long		next = 0;

	MUST(spool != NULL);
	write_lines(spool, &next);
	write_lines(spool, &next);
	for (int n = draw(20); n > 0; n--)
	{
		char		byte = (char) draw(256);
		uint64_t	at = draw(4) ? SPOOL_HEADER_SIZE + draw((uint32_t) (spool->end - SPOOL_HEADER_SIZE)) :
			draw(SPOOL_HEADER_SIZE);

		MUST(pwrite(spool->fd, &byte, 1, (off_t) at) == 1);
	}
	spool_close(spool, false);
	snprintf(path, sizeof(path), "%s/damaged.spool", directory);
	spool = spool_open(path);
	if (spool)
	{
		while (!spool_is_empty(spool))
			if (spool_take(spool, &work, 100))
				spool_done(spool, &work);
		spool_close(spool, false);
	}
	else
		MUST(errno == EINVAL);
	buffer_free(&work.bytes);
	unlink(path);
}

int
main(int argc, char **argv)
{
	long		rounds = argc > 1 ? atol(argv[1]) : 300;
	const char *directory = argc > 2 ? argv[2] : ".";

	for (model_round = 0; model_round < rounds; model_round++)
	{
		play(directory);
		play_damaged(directory);
	}
	printf("%ld rounds, %ld batches sent again\n", rounds, repeats);
	return repeats > 0 ? 0 : 1;
}
