/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Text that nobody vouches for, made fit to be shown.
 *
 * A log's text may hold what a terminal takes for commands: it can set the
 * title, move the cursor over what others have written, or type into the
 * shell.  text_clean() leaves nothing of the kind:
 *
 *	  control sequences (ESC [ ..., OSC, DCS and so on, also in their 8-bit
 *	  form) are left out, so that a line that was coloured stays readable;
 *	  other control characters become ^X, or \x9b beyond ASCII;
 *	  bytes that are no UTF-8 become \xff;
 *	  characters that are not seen but change what is (the marks for writing
 *	  direction, zero-width ones, line and paragraph separator) become
 *	  \u202e and the like;
 *	  tabs become blanks up to the next stop.
 *
 * What comes out is valid UTF-8 without control characters, but for line
 * feeds if they are to be kept.
 *
 *-------------------------------------------------------------------------
 */
#include "text.h"

#include <stdio.h>

#define ESC 0x1B
#define BEL 0x07

/*
 * The code point at the beginning of a text that is not empty, and how many
 * bytes it takes; 0 if they are no UTF-8.
 */
int
text_decode(const char *text, size_t len, uint32_t *code)
{
	const unsigned char *s = (const unsigned char *) text;
	uint32_t	c = s[0];
	int			bytes;

	if (c < 0x80)
	{
		*code = c;
		return 1;
	}
	if (c >= 0xC2 && c <= 0xDF)
	{
		bytes = 2;
		c &= 0x1F;
	}
	else if (c >= 0xE0 && c <= 0xEF)
	{
		bytes = 3;
		c &= 0x0F;
	}
	else if (c >= 0xF0 && c <= 0xF4)
	{
		bytes = 4;
		c &= 0x07;
	}
	else
		return 0;
	if (len < (size_t) bytes)
		return 0;
	for (int i = 1; i < bytes; i++)
	{
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3F);
	}
	if ((bytes == 3 && (c < 0x800 || (c >= 0xD800 && c <= 0xDFFF))) ||
		(bytes == 4 && (c < 0x10000 || c > 0x10FFFF)))
		return 0;
	*code = c;
	return bytes;
}

/* ---- widths ---- */

typedef struct Range
{
	uint32_t	first;
	uint32_t	last;
} Range;

/* Characters that take no column: combining marks of the usual scripts, selectors. */
static const Range zero_width[] = {
	{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x05BF, 0x05BF}, {0x05C1, 0x05C2},
	{0x05C4, 0x05C5}, {0x0610, 0x061A}, {0x064B, 0x065F}, {0x0670, 0x0670}, {0x06D6, 0x06DC},
	{0x06DF, 0x06E4}, {0x06E7, 0x06E8}, {0x06EA, 0x06ED}, {0x0711, 0x0711}, {0x0730, 0x074A},
	{0x0900, 0x0902}, {0x093A, 0x093A}, {0x093C, 0x093C}, {0x0941, 0x0948}, {0x094D, 0x094D},
	{0x0981, 0x0981}, {0x09BC, 0x09BC}, {0x0A01, 0x0A02}, {0x0B01, 0x0B01}, {0x0E31, 0x0E31},
	{0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x0EB1, 0x0EB1}, {0x0EB4, 0x0EBC}, {0x1160, 0x11FF},
	{0x135D, 0x135F}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20F0}, {0x302A, 0x302D},
	{0x3099, 0x309A}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0x1F3FB, 0x1F3FF}, {0xE0100, 0xE01EF},
};

/* Characters that take two columns: East Asian wide and fullwidth, emoji. */
static const Range double_width[] = {
	{0x1100, 0x115F}, {0x231A, 0x231B}, {0x2329, 0x232A}, {0x23E9, 0x23EC}, {0x23F0, 0x23F0},
	{0x23F3, 0x23F3}, {0x25FD, 0x25FE}, {0x2614, 0x2615}, {0x2648, 0x2653}, {0x267F, 0x267F},
	{0x2693, 0x2693}, {0x26A1, 0x26A1}, {0x26AA, 0x26AB}, {0x26BD, 0x26BE}, {0x26C4, 0x26C5},
	{0x26CE, 0x26CE}, {0x26D4, 0x26D4}, {0x26EA, 0x26EA}, {0x26F2, 0x26F3}, {0x26F5, 0x26F5},
	{0x26FA, 0x26FA}, {0x26FD, 0x26FD}, {0x2705, 0x2705}, {0x270A, 0x270B}, {0x2728, 0x2728},
	{0x274C, 0x274C}, {0x274E, 0x274E}, {0x2753, 0x2755}, {0x2757, 0x2757}, {0x2795, 0x2797},
	{0x27B0, 0x27B0}, {0x27BF, 0x27BF}, {0x2B1B, 0x2B1C}, {0x2B50, 0x2B50}, {0x2B55, 0x2B55},
	{0x2E80, 0x303E}, {0x3041, 0x3098}, {0x309B, 0x33FF}, {0x3400, 0x4DBF}, {0x4E00, 0xA4CF},
	{0xA960, 0xA97C}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF}, {0xFE10, 0xFE19}, {0xFE30, 0xFE6F},
	{0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x16FE0, 0x18CFF}, {0x1AFF0, 0x1B2FB},
	{0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF}, {0x1F18E, 0x1F18E}, {0x1F191, 0x1F19A},
	{0x1F200, 0x1F320}, {0x1F32D, 0x1F335}, {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393},
	{0x1F3A0, 0x1F3CA}, {0x1F3CF, 0x1F3D3}, {0x1F3E0, 0x1F3F0}, {0x1F3F4, 0x1F3F4},
	{0x1F3F8, 0x1F3FA}, {0x1F400, 0x1F43E}, {0x1F440, 0x1F440}, {0x1F442, 0x1F4FC},
	{0x1F4FF, 0x1F53D}, {0x1F54B, 0x1F54E}, {0x1F550, 0x1F567}, {0x1F57A, 0x1F57A},
	{0x1F595, 0x1F596}, {0x1F5A4, 0x1F5A4}, {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5},
	{0x1F6CC, 0x1F6CC}, {0x1F6D0, 0x1F6D2}, {0x1F6D5, 0x1F6D7}, {0x1F6DD, 0x1F6DF},
	{0x1F6EB, 0x1F6EC}, {0x1F6F4, 0x1F6FC}, {0x1F7E0, 0x1F7EB}, {0x1F7F0, 0x1F7F0},
	{0x1F90C, 0x1F93A}, {0x1F93C, 0x1F945}, {0x1F947, 0x1F9FF}, {0x1FA70, 0x1FAFF},
	{0x20000, 0x2FFFD}, {0x30000, 0x3FFFD},
};

/* Characters that are not seen but change what is. */
static const Range unseen[] = {
	{0x0080, 0x009F}, {0x00AD, 0x00AD}, {0x061C, 0x061C}, {0x115F, 0x1160}, {0x17B4, 0x17B5},
	{0x180B, 0x180F}, {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F}, {0x3164, 0x3164},
	{0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
	{0xE0000, 0xE00FF},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool
in_ranges(const Range *ranges, size_t count, uint32_t code)
{
	size_t		low = 0;
	size_t		high = count;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (code > ranges[middle].last)
			low = middle + 1;
		else if (code < ranges[middle].first)
			high = middle;
		else
			return true;
	}
	return false;
}

/* Columns that a character takes on a terminal. */
int
text_char_width(uint32_t code)
{
	if (code < 0x0300)
		return 1;
	if (in_ranges(zero_width, COUNT(zero_width), code))
		return 0;
	return in_ranges(double_width, COUNT(double_width), code) ? 2 : 1;
}

/* Columns that a clean text takes. */
size_t
text_width(const char *text, size_t len)
{
	size_t		width = 0;

	for (size_t i = 0; i < len;)
	{
		uint32_t	code;
		int			bytes = text_decode(text + i, len - i, &code);

		width += bytes > 0 ? text_char_width(code) : 1;
		i += bytes > 0 ? bytes : 1;
	}
	return width;
}

/* How many bytes of a clean text fit into so many columns, at a character's border. */
size_t
text_fit(const char *text, size_t len, size_t width)
{
	size_t		i = 0;
	size_t		used = 0;

	while (i < len)
	{
		uint32_t	code;
		int			bytes = text_decode(text + i, len - i, &code);

		used += bytes > 0 ? text_char_width(code) : 1;
		if (used > width)
			break;
		i += bytes > 0 ? bytes : 1;
	}
	return i;
}

/*
 * Where to break a clean line of text that must not be wider than so many
 * columns: after how many bytes, and how many blanks to skip then.  At a blank
 * if there is one in the second half, else between two characters.  Always
 * takes at least one character.
 */
size_t
text_break(const char *text, size_t len, size_t width, size_t *skip)
{
	size_t		fits = text_fit(text, len, width);
	size_t		at;

	*skip = 0;
	if (fits == len)
		return len;
	if (fits == 0)
	{
		uint32_t	code;
		int			bytes = text_decode(text, len, &code);

		return bytes > 0 ? bytes : 1;
	}
	for (at = fits; at > fits / 2; at--)
		if (text[at] == ' ')
			break;
	if (at <= fits / 2 || text[at] != ' ')
		return fits;
	while (at + *skip < len && text[at + *skip] == ' ')
		(*skip)++;
	while (at > 0 && text[at - 1] == ' ')
	{
		at--;
		(*skip)++;
	}
	if (at == 0)
	{
		/* nothing but blanks so far: keep the indent */
		*skip = 0;
		return fits;
	}
	return at;
}

/* ---- cleaning ---- */

/*
 * Bytes of the control sequence at the beginning of a text, whose first
 * character is ESC or an 8-bit control, given as the 7-bit letter that stands
 * for it ('[' of CSI ...) and where its parameters begin; 0 if it has no end,
 * in which case only the introducer is made harmless.
 */
static size_t
sequence_length(const char *text, size_t len, unsigned char letter, size_t at)
{
	switch (letter)
	{
		case '[':				/* CSI: parameters, then a final byte */
			while (at < len && (unsigned char) text[at] >= 0x20 && (unsigned char) text[at] <= 0x3F)
				at++;
			if (at < len && (unsigned char) text[at] >= 0x40 && (unsigned char) text[at] <= 0x7E)
				return at + 1;
			return 0;
		case ']':				/* OSC, DCS, SOS, PM, APC: up to ST, or BEL */
		case 'P':
		case 'X':
		case '^':
		case '_':
			for (; at < len; at++)
			{
				unsigned char c = text[at];

				if (c == BEL)
					return at + 1;
				if (c == ESC && at + 1 < len && text[at + 1] == '\\')
					return at + 2;
				if (c == 0xC2 && at + 1 < len && (unsigned char) text[at + 1] == 0x9C)
					return at + 2;
				if (c < 0x20)
					return 0;	/* a terminal would have given up, too */
			}
			return 0;
		default:
			/* ESC, intermediates, final byte */
			at--;
			while (at < len && (unsigned char) text[at] >= 0x20 && (unsigned char) text[at] <= 0x2F)
				at++;
			if (at < len && (unsigned char) text[at] >= 0x30 && (unsigned char) text[at] <= 0x7E)
				return at + 1;
			return 0;
	}
}

/* Bytes of the control sequence at the beginning of a text; 0 if there is none. */
static size_t
control_sequence(const char *text, size_t len)
{
	unsigned char second;

	if (len < 2)
		return 0;
	second = text[1];
	if (text[0] == ESC)
		return sequence_length(text, len, second, 2);
	/* 8-bit controls, as UTF-8: CSI is U+009B and so on */
	if ((unsigned char) text[0] == 0xC2 && strchr("\x90\x98\x9B\x9D\x9E\x9F", second) && second)
		return sequence_length(text, len, second - 0x40, 2);
	return 0;
}

/* Bytes at the beginning of a text that may be shown as they are: plain ASCII. */
static inline size_t
plain_length(const char *text, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t highs = UINT64_C(0x8080808080808080);
	size_t		i = 0;

	for (; i + 8 <= len; i += 8)
	{
		uint64_t	chunk;
		uint64_t	deletes;

		memcpy(&chunk, text + i, 8);
		deletes = chunk ^ (ones * 0x7F);
		/* a byte below 0x20, one of 0x7F, or one with the high bit stops it */
		if (((chunk - ones * 0x20) | (deletes - ones) | chunk) & highs)
			break;
	}
	while (i < len && (unsigned char) text[i] >= 0x20 && (unsigned char) text[i] < 0x7F)
		i++;
	return i;
}

/* Append the text, made fit to be shown; the comment at the top says how. */
void
text_clean(Buffer *out, const char *text, size_t len, int flags)
{
	size_t		line = out->len;	/* where the line began, for tabs */

	while (len > 0)
	{
		size_t		done = plain_length(text, len);
		unsigned char c;
		uint32_t	code;
		int			bytes;

		buffer_append(out, text, done);
		text += done;
		len -= done;
		if (len == 0)
			break;

		c = text[0];
		done = 1;
		bytes = text_decode(text, len, &code);
		if (c == '\n' && (flags & TEXT_KEEP_LINES))
		{
			buffer_char(out, '\n');
			line = out->len;
		}
		else if (c == '\n')
			buffer_string(out, "\\n");
		else if (c == '\r' && len > 1 && text[1] == '\n')
			;					/* the line feed says it all */
		else if (c == '\t')
		{
			size_t		column = text_width(out->data + line, out->len - line);

			do
				buffer_char(out, ' ');
			while (++column % TEXT_TAB != 0);
		}
		else if ((done = control_sequence(text, len)) > 0)
			;					/* left out */
		else if (c < 0x20 || c == 0x7F)
		{
			buffer_char(out, '^');
			buffer_char(out, c ^ 0x40);
			done = 1;
		}
		else if (bytes == 0)
		{
			buffer_printf(out, "\\x%02x", c);
			done = 1;
		}
		else
		{
			done = bytes;
			if (in_ranges(unseen, COUNT(unseen), code))
			{
				if (code < 0x100)
					buffer_printf(out, "\\x%02x", (unsigned) code);
				else
					buffer_printf(out, "\\u%04x", (unsigned) code);
			}
			else if (flags & TEXT_ASCII)
				buffer_char(out, '?');
			else
				buffer_append(out, text, bytes);
		}
		text += done;
		len -= done;
	}
}
