# The page for browsers, in a browser: who one is, a run as it goes on, steps,
# filters, keys, a link to a line, a file of what is shown, a workflow; what logs
# say stays text; small screens, contrast, names.  And the log API design's own
# client, as it is written there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Browser;
use Encode qw(decode_utf8);
use Gateway;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use WflogCommand;

plan skip_all => 'wflog was built without serve' unless Gateway::is_built();
Browser::skip_unless_there();

my $node = Gateway::new_server();
my $gateway = Gateway->start;
my $page = "http://localhost:$gateway->{port}";
my $alice = token('alice');
my $browser = Browser->start;
my $checks = slurp_file("$FindBin::RealBin/../browser/checks.js");

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub js { return $browser->js($_[0]) }
sub text_of { my ($selector) = @_; return js(qq{document.querySelector('$selector')?.innerText ?? null}) }
sub messages { return js(q{[...document.querySelectorAll('.row')].sort((a, b) => a.dataset.index - b.dataset.index).map(row => row.log.message).join(' ')}) }
sub shows { my ($messages) = @_; return $browser->wait(qq{[...document.querySelectorAll('.row')].sort((a, b) => a.dataset.index - b.dataset.index).map(row => row.log.message).join(' ') === '$messages'}) }

# Open a place of the page in a tab of its own, as alice.
sub open_page
{
	my ($place, $width, $height, %options) = @_;
	$browser->tab($width // 1280, $height // 900, %options);
	$browser->go("$page/$place" . ($place =~ /\?/ ? '&' : '?') . "token=$alice");
	return;
}

sub looks_right
{
	my ($what) = @_;
	my $found = js("(() => { $checks })()");
	is(join("\n", @{ $found->{faint} }), '', "$what: everything can be read");
	is(join("\n", @{ $found->{nameless} }), '', "$what: what can be pressed has a name");
	cmp_ok($found->{wide}, '<=', 0, "$what: nothing is wider than the screen");
	is($browser->complaints, '', "$what: no errors, and nothing that its policy refuses");
	return;
}

# ---- its files

my $answer = $gateway->get('/');
is($answer->{status}, 200, 'the page needs no token');
like($answer->{headers}{'content-type'}, qr{^text/html}, 'is HTML');
like($answer->{headers}{'content-security-policy'}, qr{^default-src 'none'; script-src 'self'; style-src 'self'}, 'may do little');
unlike($answer->{headers}{'content-security-policy'}, qr{unsafe|\*|http}, 'without exceptions');
is($answer->{headers}{'x-content-type-options'}, 'nosniff', 'and is what it says');
is($gateway->get('/', undef, 'If-None-Match' => $answer->{headers}{etag})->{status}, 304, 'it is sent once');
my @files = $answer->{content} =~ m{(?:src|href)="(/page/[^"]+)"}g;
my %served = map { $_ => $gateway->get($_) } @files;
is(join(' ', grep { $served{$_}{status} != 200 } @files), '', 'its files are there');
foreach my $name (grep { /\.js$/ } @files)
{
	my @imports = $served{$name}{content} =~ m{from '\./([^']+)'}g;
	is(join(' ', grep { !$served{"/page/$_"} } @imports), '', "$name: what it imports is loaded ahead");
	unlike($served{$name}{content}, qr/innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function/, '  and it makes no elements of texts');
}
is(join(' ', map { $_->{content} =~ m{(https?://(?!www\.w3\.org/2000/svg)\S+)}g } $answer, values %served), '', 'it names no other host');
is($gateway->get('/page/none.js')->{status}, 404, 'and that is all');

# ---- the client of the log API design, as it is written there

sql(q{SELECT wflog.start_execution('s1', 'w', user_id => 'alice'); SELECT wflog.log('s1', 'before')});
$browser->tab(800, 600);
$browser->go("$page/health");
$browser->wait(q{document.readyState === 'complete' && location.pathname === '/health'});
my $client = decode_utf8(slurp_file("$FindBin::RealBin/../browser/s1_client.js")) =~ s/localhost:8000/localhost:$gateway->{port}/r;
js("window.shown = []; window.opened = []; window.EventSource = class extends EventSource { constructor(url) { super(url); opened.push(this); } };"
	  . "(() => { const executionId = 's1', jwt_token = '$alice', updateLogDisplay = log => shown.push(log.message + (log.is_realtime ? '!' : ''));\n$client })()");
ok($browser->wait(q{shown.join(' ') === 'before'}), 'its client shows what there was');
sql(q{SELECT wflog.log('s1', 'live')});
ok($browser->wait(q{shown.join(' ') === 'before live!'}), 'and what comes');
sql(q{SELECT wflog.set_execution_status('s1', 'SUCCESS')});
ok($browser->wait('opened[0].readyState === 2'), 'and closes when the execution has ended');

# ---- who one is

$browser->tab(1280, 800);
$browser->go("$page/");
ok($browser->wait(q{document.querySelector('dialog[open] textarea') === document.activeElement}), 'a token is asked for');
looks_right('asking');
$browser->type('nonsense');
$browser->press('Enter');
ok($browser->wait(q{document.querySelector('dialog[open] .problem')}), 'a bad one is refused, and another asked for');
$browser->type($alice);
$browser->press('Enter');
ok($browser->wait(q{document.querySelector('tr[data-execution="s1"]')}), 'with a good one there are executions');
is(text_of('#who'), 'alice', 'it says who one is');
js('location.reload()');
ok($browser->wait(q{document.querySelector('tr[data-execution="s1"]')}), 'it is kept for the tab');
open_page('#/e/s1');
ok($browser->wait(q{document.querySelector('.row')}), 'a token can come with the address');
is(js('location.hash'), '#/e/s1', 'which then is without it');
is(js('document.cookie + JSON.stringify(Object.keys(localStorage))'), '[]', 'nothing else is kept');

# ---- a run as it goes on

sql(q{SELECT wflog.start_execution('run', 'nightly', user_id => 'alice');
	SELECT wflog.log('run', 'first', node_id => 'load', node_name => 'Load', event_type => 'step_started', step_number => 1, total_steps => 2)});
open_page('#/e/run');
ok(shows('first'), 'an execution: what there is');
ok($browser->wait(q{document.querySelector('.connection').dataset.state === 'live'}), 'it is live');
sql(q{SELECT wflog.log('run', 'second', level => 'warning', node_id => 'load')});
ok(shows('first second'), 'what is committed appears');
ok($browser->wait(q{document.querySelector('[data-key="step load"] .hidden')?.innerText === ', running'}), 'the step is running');
sql(q{SELECT wflog.log('run', 'third', node_id => 'load', event_type => 'step_completed', step_number => 1, total_steps => 2);
	SELECT wflog.log('run', 'technical words', user_friendly_message => 'Half-way', log_category => 'business', is_milestone => true, progress_percentage => 50);
	SELECT wflog.log('run', 'fifth', level => 'error', node_id => 'send', node_name => 'Send', event_type => 'step_error', step_number => 2,
		stack_trace => E'Traceback\n  at send.c:7', data => '{"deep": {"er": [1, null, "x"]}}', technical_details => '{"host": "db1"}')});
ok(shows('first second third Half-way fifth'), 'and more');
ok($browser->wait(q{document.querySelector('[data-key="step load"]')?.dataset.status === 'completed' && document.querySelector('[data-key="step send"]')?.dataset.status === 'failed'}), 'steps are done, or failed');
is(js(q{document.querySelectorAll('.diamond').length}), 1, 'a milestone');
ok($browser->wait(q{Number(document.querySelector('.execution-head [role=progressbar]').ariaValueNow) === 50}), 'progress');
looks_right('an execution');

# ---- filters

$browser->press('2');
ok(shows('Half-way'), 'the business view');
$browser->press('3');
ok(shows('first second third fifth'), 'the technical view');
$browser->press('1', 'm');
ok(shows('Half-way'), 'milestones');
$browser->press('x');
ok(shows('first second third Half-way fifth'), 'all again');
$browser->click('[data-level=info].level-toggle');
ok(shows('second fifth'), 'levels');
$browser->press('x', '/');
$browser->type('TECH');
ok(shows('Half-way'), 'text, whatever its case, also in the technical message');
$browser->press('Enter', 'x');
# held while the steps are drawn again, as they are each second
$browser->click('[data-key="step load"]', 1.5);
ok(shows('first second third'), 'a step');
is(js(q{document.querySelector('.toolbar select').value}), 'load', 'which the toolbar shows');
$browser->click('[data-level=info].level-toggle');
sql(q{SELECT wflog.log('run', 'hidden', node_id => 'load'), wflog.log('run', 'sixth', level => 'warning', node_id => 'load')});
ok(shows('second sixth'), 'what comes is filtered, too');
$browser->click('[data-level=warning].level-toggle');
ok($browser->wait(q{document.querySelector('.empty:not([hidden])')}), 'and when nothing matches it says so');
$browser->click('.empty button');
ok(shows('first second third Half-way fifth hidden sixth'), 'with a way out');

# ---- pause

js(q{document.querySelector('#list').focus()});
$browser->press(' ');
is(text_of('.connection'), 'paused', 'paused');
sql(q{SELECT wflog.log('run', 'seventh')});
ok($browser->wait(q{document.querySelector('.jump:not([hidden])')?.innerText.endsWith(' 1 new line')}), 'what comes is counted');
is(messages(), 'first second third Half-way fifth hidden sixth', 'but not shown');
$browser->press(' ');
ok(shows('first second third Half-way fifth hidden sixth seventh'), 'until it goes on');

# ---- keys, and an open line

js(q{document.querySelector('#list').focus()});
$browser->press('Home', 'ArrowDown', 'j');
is(js(q{document.querySelector('[aria-selected=true]').log.message}), 'third', 'lines are chosen by keys');
$browser->press('e');
is(js(q{document.querySelector('[aria-selected=true]').log.message}), 'fifth', 'so are errors');
is(js(q{document.querySelector('#list').getAttribute('aria-activedescendant')}), js(q{'line-' + document.querySelector('[aria-selected=true]').log.id}), 'of which a reader of the screen knows');
$browser->press('Enter');
ok($browser->wait(q{document.querySelector('.row[aria-expanded=true] .trace pre')?.innerText.includes('at send.c:7')}), 'a line opens, with its stack trace');
is(text_of('.details .tree .tree .tree') =~ s/\s+/ /gr, 'er [3] 0: 1 1: null 2: x', 'its data as a tree');
looks_right('an open line');
my $link = js('location.href');
$browser->press('Enter');
is(js(q{document.querySelectorAll('.details').length}), 0, 'and closes');
$browser->press('t');
looks_right('the other colours');
$browser->press('?');
ok($browser->wait(q{document.querySelector('dialog[open]')}), 'keys are listed');
looks_right('keys');
$browser->press('Escape');
open_page(($link =~ /(#.*)/)[0]);
ok($browser->wait(q{document.querySelector('.row[aria-selected=true] .trace')}), 'a link to a line opens it');
is(js(q{document.querySelector('[aria-selected=true]').log.message}), 'fifth', 'the right one');

# ---- as a file

my $folder = PostgreSQL::Test::Utils::tempdir();
$browser->command('Page.setDownloadBehavior', { behavior => 'allow', downloadPath => $folder });
$browser->press('d');
js(q{[...document.querySelectorAll('.menu-items button')].find(button => button.innerText === 'JSON lines').click()});
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
select undef, undef, undef, 0.05 until -s "$folder/run.ndjson" || time() > $end;
is(join(' ', map { JSON::PP->new->utf8->decode($_)->{id} } split /\n/, slurp_file("$folder/run.ndjson")),
	sql(q{SELECT string_agg(id::text, ' ' ORDER BY created_at, id) FROM wflog.workflow_execution_logs WHERE execution_id = 'run'}), 'what is shown can be saved');

# ---- the end

sql(q{SELECT wflog.set_execution_status('run', 'FAILED', 'it did not work')});
ok($browser->wait(q{document.querySelector('.connection').dataset.state === 'ended'}), 'the end');
ok($browser->wait(q{document.querySelector('.error-message')?.innerText === 'it did not work'}), 'and why');
ok($browser->wait(q{document.querySelector('.title .status')?.innerText.endsWith('failed')}), 'it has failed');

# ---- other places

open_page('#/e/missing');
ok($browser->wait(q{document.querySelector('[role=alert]')?.innerText.includes('no execution missing')}), 'what there is not');
looks_right('nothing');
$browser->press('o');
$browser->type('nightly');
$browser->press('Enter');
ok($browser->wait(q{document.querySelector('tr[data-execution=run]')}), 'a workflow is found');
is(js('location.hash'), '#/w/nightly', 'by its name');
ok($browser->wait(q{document.querySelectorAll('.chart').length === 2 && document.querySelector('rect[data-part=failed]')}), 'with a series');
ok($browser->wait(q{document.querySelector('.frequent .text')?.innerText === 'fifth'}), 'and its errors');
looks_right('a workflow');
$browser->press('o');
$browser->type('run');
$browser->press('Enter');
ok($browser->wait(q{location.hash === '#/e/run' && document.querySelector('.row')}), 'an execution, too');
$browser->press('h');
ok($browser->wait(q{document.querySelector('tr[data-execution=s1]')}), 'all executions');
looks_right('executions');

# ---- whatever a log says, it is text

my $evil = q{<img src=x onerror=alert(1)><script>hacked=1</script>"'`&lt;${1}};
sql(qq{SELECT wflog.start_execution(\$a\$$evil\$a\$, \$a\$w$evil\$a\$, user_id => 'alice');
	SELECT wflog.log(\$a\$$evil\$a\$, \$a\$$evil\$a\$, level => 'critical', event_type => 'step_error', log_category => 'business', node_id => \$a\$i$evil\$a\$,
		node_name => \$a\$n$evil\$a\$, node_type => left(\$a\$t$evil\$a\$, 100), user_friendly_message => \$a\$u$evil\$a\$, source => \$a\$s$evil\$a\$,
		stack_trace => \$a\$st$evil\$a\$, data => jsonb_build_object(\$a\$k$evil\$a\$, \$a\$v$evil\$a\$), technical_details => jsonb_build_object(\$a\$dk$evil\$a\$, \$a\$dv$evil\$a\$),
		performance_metrics => jsonb_build_object(\$a\$pk$evil\$a\$, \$a\$pv$evil\$a\$), is_milestone => true, trace_id => left(\$a\$$evil\$a\$, 32), span_id => left(\$a\$$evil\$a\$, 16));
	SELECT wflog.set_execution_status(\$a\$$evil\$a\$, 'FAILED', \$a\$e$evil\$a\$)});
my $encoded = $evil =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
open_page("#/e/$encoded");
$browser->wait(q{document.querySelector('.row')});
js(q{document.querySelector('#list').focus()});
$browser->press('Home', 'Enter');
ok($browser->wait(q{document.querySelector('.trace')}), 'an execution of nothing but evil');
sub is_harmless
{
	my ($what) = @_;
	is(js(q{[typeof hacked, document.querySelectorAll('main img, main script, main iframe, main [onerror]').length].join(' ')}), 'undefined 0', "$what: no element was made of it");
	is(join(' ', grep { !m{^(?:$page/|data:|blob:)} } @{ $browser->{requests} }), '', "$what: nothing was asked elsewhere");
	is($browser->complaints, '', "$what: nothing had to be refused");
	return;
}
is(js(q{document.querySelector('.row .line').log ?? document.querySelector('.row').log.user_friendly_message}), "u$evil", 'it is what was written');
like(js(q{document.querySelector('main').textContent}), qr/\Q$_$evil\E/, "$_ is shown") foreach qw(u st k v dk dv pk pv e n i s);
is_harmless('an execution');
$browser->go("$page/#/w/w$encoded");
ok($browser->wait(q{document.querySelector('.frequent .text') && document.querySelector('tr[data-execution]')}), 'its workflow');
is_harmless('a workflow');
$browser->go("$page/#/");
ok($browser->wait(q{document.querySelectorAll('tr[data-execution]').length === 3}), 'among the others');
is_harmless('executions');

# ---- a telephone

open_page('#/', 360, 740, mobile => 1);
$browser->wait(q{document.querySelector('tr[data-execution=run]')});
looks_right('executions on a telephone');
$browser->click('tr[data-execution=run] .name a');
ok($browser->wait(q{document.querySelectorAll('.row').length === 8}), 'to one of them');
looks_right('an execution on a telephone');
$browser->click('.row[data-level=error] .line');
ok($browser->wait(q{document.querySelector('.trace')}), 'a line opens');
looks_right('an open line on a telephone');
$browser->go("$page/#/w/nightly");
$browser->wait(q{document.querySelector('.chart')});
looks_right('a workflow on a telephone');

$browser->stop;
is($gateway->stop, 0, 'the gateway ends');
done_testing();
