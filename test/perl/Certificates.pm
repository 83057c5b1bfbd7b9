# Keys and certificates, made by the program openssl.

package Certificates;

use strict;
use warnings;

use IPC::Run;

# Make DIR/NAME.key and DIR/NAME.crt: signed by another one there, or by itself.
sub make
{
	my ($dir, $name, $subject, $authority, @more) = @_;
	my @by = $authority ? () : ('-x509', '-days', '30');
	my @key = (qw(openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes), '-keyout', "$dir/$name.key",
		'-subj', "/CN=$subject", @by, @more, '-out', $authority ? "$dir/$name.csr" : "$dir/$name.crt");
	my $said = '';

	IPC::Run::run(\@key, '>&', \$said) or die "openssl: $said";
	IPC::Run::run([ qw(openssl x509 -req -days 30 -CAcreateserial -copy_extensions copy -in), "$dir/$name.csr", '-CA', "$dir/$authority.crt",
			'-CAkey', "$dir/$authority.key", '-out', "$dir/$name.crt" ], '>&', \$said) or die "openssl: $said"
	  if $authority;
	chmod 0600, "$dir/$name.key" or die $!;
	return;
}

1;
