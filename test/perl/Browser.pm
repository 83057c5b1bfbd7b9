# Chromium without a window, driven by its DevTools protocol over two pipes.

package Browser;

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;

# Where it is; nothing if it is not installed.
sub program
{
	return (grep { -x } $ENV{WFLOG_TEST_CHROMIUM} // (), map { "/usr/bin/$_" } qw(chromium-headless-shell chromium))[0];
}

# Skip the test program, but not silently.
sub skip_unless_there
{
	return if program();
	diag('THE PAGE IS NOT TESTED: there is no Chromium (Debian: chromium-headless-shell)');
	plan skip_all => 'no Chromium';
	return;
}

# Start one, with a folder of its own for what it keeps.
sub start
{
	my ($class) = @_;
	my $home = PostgreSQL::Test::Utils::tempdir();
	local $^F = 20;
	pipe(my $command_out, my $commands) or die $!;
	pipe(my $answers, my $answer_in) or die $!;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		setpgrp(0, 0);
		# it reads commands from 3 and writes answers to 4; both may be in use for something else
		POSIX::dup2(fileno $command_out, 18);
		POSIX::dup2(fileno $answer_in, 19);
		POSIX::dup2(18, 3);
		POSIX::dup2(19, 4);
		POSIX::close($_) foreach 5 .. 30;
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$home/chromium.out";
		open STDERR, '>&', \*STDOUT;
		$ENV{HOME} = $home;
		$ENV{TZ} = 'UTC';
		exec program(), '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
		  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
		  '--no-proxy-server', '--lang=en', "--user-data-dir=$home/profile", '--remote-debugging-pipe', 'about:blank'
		  or POSIX::_exit(127);
	}
	close $command_out;
	close $answer_in;
	$commands->autoflush(1);
	my $self = bless { pid => $pid, commands => $commands, answers => $answers, buffer => '', number => 0,
		events => [], answered => {}, complaints => [], log => "$home/chromium.out" }, $class;
	return $self;
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid};
	local $?;
	# asked, it tidies up; what is left of its processes after that is killed
	print { $self->{commands} } '{"id":0,"method":"Browser.close"}', "\0";
	my $end = time() + 10;
	sleep 0.02 until waitpid($self->{pid}, POSIX::WNOHANG()) != 0 || time() > $end;
	kill 'KILL', -$self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = 0;
	return;
}

sub DESTROY { $_[0]->stop }

# Take one message, waiting at most so long; whether there was one.
sub _take
{
	my ($self, $seconds) = @_;
	my $end = time() + $seconds;
	until ($self->{buffer} =~ /\0/)
	{
		my $left = $end - time();
		return 0 if $left <= 0 || !IO::Select->new($self->{answers})->can_read($left);
		sysread($self->{answers}, $self->{buffer}, 1 << 20, length $self->{buffer})
		  or die "the browser has ended: " . slurp_file($self->{log});
	}
	my ($text) = $self->{buffer} =~ s/\A([^\0]*)\0// ? $1 : '';
	my $message = $json->decode($text);
	if (defined $message->{id})
	{
		$self->{answered}{ $message->{id} } = $message;
	}
	elsif ($message->{method} eq 'Runtime.exceptionThrown')
	{
		my $details = $message->{params}{exceptionDetails};
		push @{ $self->{complaints} }, $details->{exception}{description} // $details->{text};
	}
	elsif ($message->{method} eq 'Log.entryAdded')
	{
		# a request that fails is no fault of the page's; what its policy refuses would be
		my $entry = $message->{params}{entry};
		push @{ $self->{complaints} }, $entry->{text} if $entry->{level} eq 'error' && $entry->{source} ne 'network';
	}
	elsif ($message->{method} eq 'Network.requestWillBeSent')
	{
		push @{ $self->{requests} }, $message->{params}{request}{url};
	}
	return 1;
}

# Send a command and have its result.
sub command
{
	my ($self, $method, $parameters, $anywhere) = @_;
	my $id = ++$self->{number};
	my $message = { id => $id, method => $method, params => $parameters // {} };
	$message->{sessionId} = $self->{session} if $self->{session} && !$anywhere;
	print { $self->{commands} } $json->encode($message), "\0";
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($self->{answered}{$id})
	{
		die "the browser does not answer to $method" if time() > $end;
		$self->_take(1);
	}
	my $answer = delete $self->{answered}{$id};
	die "$method: $answer->{error}{message}" if $answer->{error};
	return $answer->{result};
}

# Open a tab of its own (nothing is shared with others) of that size, in which everything is heard of.
sub tab
{
	my ($self, $width, $height, %options) = @_;
	my $context = $self->command('Target.createBrowserContext', {}, 1)->{browserContextId};
	my $target = $self->command('Target.createTarget', { url => 'about:blank', browserContextId => $context }, 1)->{targetId};
	$self->{session} = $self->command('Target.attachToTarget', { targetId => $target, flatten => JSON::PP::true }, 1)->{sessionId};
	$self->command("$_.enable") foreach qw(Page Runtime Log Network);
	$self->size($width, $height, %options);
	$self->{complaints} = [];
	$self->{requests} = [];
	return;
}

sub size
{
	my ($self, $width, $height, %options) = @_;
	$self->command('Emulation.setDeviceMetricsOverride',
		{ width => 0 + $width, height => 0 + $height, deviceScaleFactor => $options{scale} // 1, mobile => $options{mobile} ? JSON::PP::true : JSON::PP::false });
	return;
}

# Dark or light, and whether things may move.
sub prefers
{
	my ($self, %features) = @_;
	$self->command('Emulation.setEmulatedMedia', { features => [ map { { name => "prefers-$_", value => $features{$_} } } sort keys %features ] });
	return;
}

sub go
{
	my ($self, $url) = @_;
	$self->command('Page.navigate', { url => $url });
	return;
}

# The value of an expression in the page.
sub js
{
	my ($self, $expression) = @_;
	my $result = $self->command('Runtime.evaluate',
		{ expression => $expression, returnByValue => JSON::PP::true, awaitPromise => JSON::PP::true, userGesture => JSON::PP::true });
	die "in the page: " . ($result->{exceptionDetails}{exception}{description} // $result->{exceptionDetails}{text})
	  if $result->{exceptionDetails};
	return $result->{result}{value};
}

# Wait until an expression holds; whether it does.
sub wait
{
	my ($self, $expression) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (1)
	{
		# while it loads another page there may be nothing to ask
		return 1 if eval { $self->js("Boolean($expression)") };
		if (time() > $end)
		{
			diag("waited in vain for $expression; there is: " . substr(eval { $self->js('document.body.innerText') } // '', 0, 2000));
			return 0;
		}
		$self->_take(0.03);
	}
}

my %named = (Enter => "\r", Escape => '', ' ' => ' ', map { $_ => '' } qw(ArrowUp ArrowDown ArrowLeft ArrowRight Home End PageUp PageDown Tab));
my %codes = (Enter => 13, Escape => 27, Tab => 9, End => 35, Home => 36, ArrowLeft => 37, ArrowUp => 38, ArrowRight => 39, ArrowDown => 40, PageUp => 33, PageDown => 34, ' ' => 32);

# Wait until the page has drawn what it has to, which it does frame by frame.
sub drawn
{
	my ($self) = @_;
	# it may be about to give way to another page; and what is hidden has no frames
	eval { $self->js('new Promise(done => { requestAnimationFrame(() => requestAnimationFrame(done)); setTimeout(done, 1000); })') };
	return;
}

# Press keys, as a person would.
sub press
{
	my ($self, @keys) = @_;
	foreach my $key (@keys)
	{
		my $text = $named{$key} // $key;
		my %event = (key => $key, windowsVirtualKeyCode => $codes{$key} // ord uc $key);
		$self->command('Input.dispatchKeyEvent', { type => $text eq '' ? 'rawKeyDown' : 'keyDown', %event, $text eq '' ? () : (text => $text) });
		$self->command('Input.dispatchKeyEvent', { type => 'keyUp', %event });
	}
	$self->drawn;
	return;
}

# Type a text into what has the focus.
sub type
{
	my ($self, $text) = @_;
	$self->command('Input.insertText', { text => $text });
	return;
}

# Click into the middle of an element, and hold the button for so long.
sub click
{
	my ($self, $selector, $seconds) = @_;
	my $quoted = JSON::PP->new->allow_nonref->encode($selector);
	my $at = $self->js("(() => { const e = document.querySelector($quoted); e.scrollIntoView({block: 'nearest', inline: 'nearest'});"
		  . ' const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()');
	foreach my $type (qw(mousePressed mouseReleased))
	{
		$self->command('Input.dispatchMouseEvent', { type => $type, x => $at->[0], y => $at->[1], button => 'left', clickCount => 1 });
		sleep($seconds) if $seconds && $type eq 'mousePressed';
	}
	$self->drawn;
	return;
}

# Save what can be seen as a PNG.
sub shot
{
	my ($self, $file) = @_;
	my $data = $self->command('Page.captureScreenshot', { format => 'png' })->{data};
	open my $out, '>:raw', $file or die "$file: $!";
	print $out decode_base64($data);
	close $out;
	return;
}

# What the page has complained of: exceptions, and what its policy refused.
sub complaints
{
	my ($self) = @_;
	$self->js('1');
	return join "\n", @{ $self->{complaints} };
}

1;
