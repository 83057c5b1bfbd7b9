# The page for browsers: every line once, though the gateway is killed while logs
# are written; and 100,000 lines, of which those in sight are elements.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Browser;
use Gateway;
use PostgreSQL::Test::Utils;
use Test::More;
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();
Browser::skip_unless_there();

my $lines = $ENV{WFLOG_TEST_LINES} // 100000;
my $node = Gateway::new_server();
my $gateway = Gateway->start;
my $page = "http://localhost:$gateway->{port}";
my $alice = token('alice');
my $browser = Browser->start;

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub js { return $browser->js($_[0]) }
sub state_is { my ($state) = @_; return $browser->wait(qq{document.querySelector('.connection').dataset.state === '$state'}) }
sub messages { return js(q{[...document.querySelectorAll('.row')].sort((a, b) => a.dataset.index - b.dataset.index).map(row => row.log.message).join(' ')}) }
my $last = 0;
my $written = '';
sub write_logs
{
	my ($number) = @_;
	foreach my $log ($last + 1 .. $last + $number)
	{
		sql("SELECT wflog.log('run', 'm$log')");
		$written .= ($written eq '' ? '' : ' ') . "m$log";
	}
	$last += $number;
	return;
}

# ---- killed, and back

sql(q{SELECT wflog.start_execution('run', 'w', user_id => 'alice')});
write_logs(5);
$browser->tab(1000, 3000);
$browser->go("$page/#/e/run?token=$alice");
ok($browser->wait(q{document.querySelectorAll('.row').length === 5}), 'what there is');
ok(state_is('live'), 'it is live');
foreach my $round (1 .. 3)
{
	write_logs(3);
	my $port = $gateway->{port};
	$gateway->stop('KILL');
	write_logs(3);
	ok(state_is('waiting'), "$round: the gateway is killed, which can be seen");
	ok($browser->wait(q{document.querySelector('.connection').innerText.startsWith('disconnected')}), "$round: and read");
	write_logs(3);
	$gateway = Gateway->start("port=$port");
	js(q{document.querySelector('.connection button')?.click()});
	ok(state_is('live'), "$round: it comes back by itself");
	write_logs(3);
	ok($browser->wait("document.querySelectorAll('.row').length === $last"), "$round: everything is there");
	is(messages(), $written, "$round: once, and in order");
}
sql(q{SELECT wflog.set_execution_status('run', 'SUCCESS')});
ok(state_is('ended'), 'the end');
like(js(q{document.querySelector('.lines').innerText}), qr/^$last lines$/, 'with that many lines');
is($browser->complaints, '', 'no errors');

# ---- many lines

sql(qq{SELECT wflog.start_execution('many', 'w', user_id => 'alice');
	INSERT INTO wflog.workflow_execution_logs (execution_id, event_type, level, message, node_id, data)
	SELECT 'many', 'log', (CASE WHEN i % 1000 = 0 THEN 'ERROR' ELSE 'INFO' END)::wflog.log_level_enum, 'line ' || i, 'step-' || i * 8 / $lines, jsonb_build_object('i', i)
	FROM generate_series(1, $lines) i});
$browser->tab(1280, 800);
$browser->go("$page/#/e/many?token=$alice");
ok($browser->wait(q{document.querySelector('.row')}), 'its end is there');
is(js(q{[...document.querySelectorAll('.row')].sort((a, b) => a.dataset.index - b.dataset.index).at(-1).log.message}), "line $lines", 'first');
my $all = reverse join ',', unpack '(A3)*', reverse $lines;
ok($browser->wait("document.querySelector('.lines').innerText === '$all lines'"), 'then all the rest');
my $took = js('Math.round(performance.now())');
cmp_ok(js(q{document.querySelectorAll('.row').length}), '<', 150, 'of which those in sight are elements');

# scroll through them by frames, from the end to the beginning and through the middle
my $frames = js(<<'END');
(async () => {
	const list = document.querySelector('#list');
	const frame = () => new Promise(requestAnimationFrame);
	let blocked = 0, missing = 0;
	const observer = new PerformanceObserver(found => { for (const one of found.getEntries()) blocked = Math.max(blocked, one.duration); });
	observer.observe({ type: 'longtask' });
	await frame();
	const times = [];
	let before = performance.now();
	for (let step = 0; step <= 40; step++) {
		list.scrollTop = (list.scrollHeight - list.clientHeight) * (1 - step / 40);
		await frame();
		times.push(performance.now() - before);
		before = performance.now();
		await frame();
		before = performance.now();
		const box = list.getBoundingClientRect();
		if (!document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)?.closest('.row'))
			missing++;
	}
	await frame();
	observer.disconnect();
	times.sort((a, b) => a - b);
	return { median: times[times.length >> 1], p95: times[Math.floor(times.length * 0.95)], worst: times.at(-1), blocked, missing };
})()
END
is($frames->{missing}, 0, 'wherever one scrolls there are lines');
note(sprintf '%d lines in %d ms; frames while scrolling: median %.1f, p95 %.1f, worst %.1f ms; longest task %d ms',
	$lines, $took, @$frames{qw(median p95 worst blocked)});
cmp_ok(js(q{document.querySelectorAll('.row').length}), '<', 150, 'and no more elements than before');
like(js(q{[...document.querySelectorAll('.row')].sort((a, b) => a.dataset.index - b.dataset.index)[0].log.message}), qr/^line 1$/, 'to the first');
js(q{document.querySelector('#list').focus()});
$browser->press('/');
my $needle = $lines - 1;
$browser->type("line $needle");
ok($browser->wait(qq{document.querySelectorAll('.row').length === 1 && document.querySelector('.row').log.message === 'line $needle'}), 'one of them is found');
$browser->press('Enter', 'x', 'G');
sql(q{SELECT count(wflog.log('many', 'live ' || i)) FROM generate_series(1, 2000) i});
ok($browser->wait(q{[...document.querySelectorAll('.row')].sort((a, b) => a.dataset.index - b.dataset.index).at(-1)?.log.message === 'live 2000'}), 'what comes is followed');
is($browser->complaints, '', 'no errors');

$browser->stop;
$gateway->stop;
done_testing();
