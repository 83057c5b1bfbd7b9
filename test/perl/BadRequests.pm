# Requests that two programs could read in two ways, or that are too large, and
# the status they are refused with; for a gateway with --max-body=1000.

package BadRequests;

use strict;
use warnings;

my $host = "Host: x\r\n";
my $post = "POST /health HTTP/1.1\r\n$host";

# A list of [ status, name, bytes ].
sub all
{
	return (
		[ 400, 'Content-Length and Transfer-Encoding', "${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
		[ 400, 'two Content-Lengths', "${post}Content-Length: 5\r\nContent-Length: 0\r\n\r\nabcde" ],
		[ 400, 'twice the same', "${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde" ],
		[ 400, 'Content-Length: +5', "${post}Content-Length: +5\r\n\r\nabcde" ],
		[ 400, 'Content-Length: 5 x', "${post}Content-Length: 5 x\r\n\r\nabcde" ],
		[ 501, 'gzip, chunked', "${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" ],
		[ 501, 'xchunked', "${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" ],
		[ 400, 'a blank before the colon', "GET /health HTTP/1.1\r\n${host}Content-Length : 5\r\n\r\nabcde" ],
		[ 400, 'an empty name', "GET /health HTTP/1.1\r\n$host: y\r\n\r\n" ],
		[ 400, 'a folded line', "GET /health HTTP/1.1\r\n${host}X-A: b\r\n c\r\n\r\n" ],
		[ 400, 'bare LF', "GET /health HTTP/1.1\nHost: x\n\n" ],
		[ 400, 'a NUL', "GET /health HTTP/1.1\r\n${host}X-A: a\0b\r\n\r\n" ],
		[ 400, 'a bare CR', "GET /health HTTP/1.1\r\n${host}X-A: a\rb\r\n\r\n" ],
		[ 400, 'no Host', "GET /health HTTP/1.1\r\n\r\n" ],
		[ 400, 'two Hosts', "GET /health HTTP/1.1\r\n$host$host\r\n" ],
		[ 400, 'a chunk of size -1', "${post}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" ],
		[ 400, 'a chunk of size 0x5', "${post}Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" ],
		[ 400, 'LF in a chunk extension', "${post}Transfer-Encoding: chunked\r\n\r\n5;a\nabcde\r\n0\r\n\r\n" ],
		[ 431, 'a header of 20 kB', "GET /health HTTP/1.1\r\n${host}X-A: " . 'a' x 20000 . "\r\n\r\n" ],
		[ 431, 'a hundred headers', "GET /health HTTP/1.1\r\n$host" . "X: y\r\n" x 100 . "\r\n" ],
		[ 414, 'an address of 12 kB', 'GET /health?' . 'a' x 12000 . " HTTP/1.1\r\n$host\r\n" ],
		[ 413, 'a body of 3 MB', "${post}Content-Length: 3000000\r\n\r\n" . 'x' x 300000 ],
		[ 413, 'chunks of more than a body may have', "${post}Transfer-Encoding: chunked\r\n\r\n" . "100\r\n" . 'x' x 256 . "\r\n" . "300\r\n" . 'x' x 768 ],
		[ 505, 'HTTP/9.9', "GET /health HTTP/9.9\r\n$host\r\n" ],
		[ 417, 'an expectation', "${post}Expect: more\r\nContent-Length: 1\r\n\r\nx" ],
		[ 400, 'TLS', "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . "\n" x 20 ],
		[ 400, 'not HTTP', "hello\r\n\r\n" ]
	);
}

1;
