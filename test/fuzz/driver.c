/*
 * Drives a target of libFuzzer where there is no libFuzzer: with the files of
 * its corpus, then with so many inputs that are made of them at random.
 *
 *   driver ROUNDS CORPUS [SEED]
 *
 * The targets of the gateway, those that test/t/119_gateway_model.pl names, have
 * no main() of their own.  Each counts in fuzz_accepted the inputs that were good
 * in the end: if there are none, the target tests nothing.
 */
#include "model.h"

#include <dirent.h>

#include "target.h"

#define MAX_FILES 200
#define MAX_BYTES 20000

typedef struct Seed
{
	char		bytes[MAX_BYTES];
	size_t		len;
} Seed;

static Seed seeds[MAX_FILES];
static int	seed_count = 0;

static void
read_corpus(const char *name)
{
	DIR		   *folder = opendir(name);
	struct dirent *entry;

	MUST(folder != NULL);
	while ((entry = readdir(folder)) != NULL)
	{
		char		path[1024];
		FILE	   *file;

		if (entry->d_name[0] == '.')
			continue;
		MUST(seed_count < MAX_FILES);
		snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
		file = fopen(path, "r");
		MUST(file != NULL);
		seeds[seed_count].len = fread(seeds[seed_count].bytes, 1, MAX_BYTES, file);
		fclose(file);
		seed_count++;
	}
	closedir(folder);
	MUST(seed_count > 0);
}

/* The order of a folder is not the same everywhere. */
static int
compare(const void *a, const void *b)
{
	const Seed *left = a;
	const Seed *right = b;

	return left->len != right->len ? (left->len < right->len ? -1 : 1) :
		memcmp(left->bytes, right->bytes, left->len);
}

/* Put a piece of one seed into another. */
static size_t
splice(char *bytes, size_t len)
{
	const Seed *other = &seeds[draw(seed_count)];
	size_t		at = draw(len + 1);
	size_t		from = draw(other->len + 1);
	size_t		many = draw(other->len - from + 1);

	if (len + many > MAX_BYTES)
		return len;
	memmove(bytes + at + many, bytes + at, len - at);
	memcpy(bytes + at, other->bytes + from, many);
	return len + many;
}

static void
run(const char *bytes, size_t len)
{
	char	   *copy = own_block(bytes, len);

	LLVMFuzzerTestOneInput((const uint8_t *) copy, len);
	free(copy);
}

int
main(int argc, char **argv)
{
	long		rounds = argc > 1 ? atol(argv[1]) : 0;
	static char bytes[MAX_BYTES];

	if (argc < 3)
	{
		fprintf(stderr, "usage: driver ROUNDS CORPUS [SEED]\n");
		return 2;
	}
	if (argc > 3)
		model_state ^= strtoull(argv[3], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15);
	read_corpus(argv[2]);
	qsort(seeds, seed_count, sizeof(Seed), compare);
	for (int i = 0; i < seed_count; i++)
		run(seeds[i].bytes, seeds[i].len);
	for (long i = 0; i < rounds; i++)
	{
		const Seed *seed = &seeds[draw(seed_count)];
		size_t		len = seed->len;

		memcpy(bytes, seed->bytes, len);
		if (draw(4) == 0)
			len = splice(bytes, len);
		for (uint32_t n = draw(3); n > 0; n--)
			len = mutate(bytes, len, MAX_BYTES, fuzz_likely);
		/* a single byte: what is nearly right is met that way */
		if (len > 0 && draw(2))
			bytes[draw(len)] = fuzz_likely[draw(strlen(fuzz_likely))];
		model_round = i;
		run(bytes, len);
	}
	printf("%ld rounds, %d seeds, %ld accepted\n", rounds, seed_count, fuzz_accepted);
	return fuzz_accepted > 0 ? 0 : 1;
}
