// What an open line shows: all its fields, its data as a tree, its stack trace.

import { h, fill, day, clock, duration } from './dom.js';
import { details } from './loader.js';
import { linkToLine, copy } from './links.js';

/* Branches with more entries than that are shown in part. */
const BRANCH = 200;
/* Stack traces up to so many lines are open at once. */
const OPEN_LINES = 16;

/** A value of JSON as a tree of <details>, whose branches are made when they are opened. */
export function jsonTree(value, key, depth = 0) {
	const label = key === undefined ? null : h('span.key', typeof key === 'number' ? String(key) : key);
	if (value === null || typeof value !== 'object')
		return h('div.leaf', label, label && ': ', h(`span.${value === null ? 'null' : typeof value}`,
			typeof value === 'string' ? value : String(value)));
	const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
	const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
	if (entries.length === 0)
		return h('div.leaf', label, label && ': ', h('span.null', Array.isArray(value) ? '[ ]' : '{ }'));
	const body = h('div.branch');
	const fillIn = () => {
		if (body.childElementCount > 0)
			return;
		fill(body, entries.slice(0, BRANCH).map(([name, one]) => jsonTree(one, name, depth + 1)),
			entries.length > BRANCH && h('div.leaf.null', `… ${entries.length - BRANCH} more`));
	};
	const element = h('details.tree', { open: depth < 3 && entries.length <= 30, ontoggle: event => event.target.open && fillIn() },
		h('summary', label ?? 'data', ' ', h('span.size', size)), body);
	if (element.open)
		fillIn();
	return element;
}

function section(title, text, ...content) {
	return h('section.part', h('h4', title,
		text && h('button.small', { type: 'button', onclick: event => copy(text, event.target) }, 'Copy')), ...content);
}

const hasEntries = value => value && typeof value === 'object' && Object.keys(value).length > 0;

function stackTrace(text) {
	const lines = text.split('\n');
	return h('details.trace', { open: lines.length <= OPEN_LINES },
		h('summary', lines[0].length > 120 ? `${lines[0].slice(0, 120)}…` : lines[0] || 'trace',
			h('span.size', lines.length === 1 ? '1 line' : `${lines.length} lines`)),
		h('pre', { tabindex: 0, 'aria-label': 'Stack trace' }, text));
}

/** The details of a log; what is not there yet is fetched and put in. */
export function detailsOf(execution, log, filter, close) {
	const message = log.technical_message ?? log.message;
	const friendly = log.user_friendly_message && log.user_friendly_message !== message ? log.user_friendly_message : null;
	const facts = [
		['time', `${day(log.timestamp)} ${clock(log.timestamp)}`], ['utc', log.timestamp],
		['step', log.node_name], ['step id', log.node_id], ['type', log.node_type],
		['step number', log.step_number !== undefined && log.total_steps !== undefined ? `${log.step_number} of ${log.total_steps}` : log.step_number],
		['progress', log.progress_percentage !== undefined ? `${log.progress_percentage} %` : undefined],
		['duration', log.duration_seconds !== undefined ? duration(log.duration_seconds) : undefined],
		['attempt', log.attempt], ['source', log.source], ['category', log.log_category],
		['event', log.event_type], ['priority', log.display_priority],
		['trace', log.trace_id], ['span', log.span_id], ['cut from', log.original_size !== undefined ? `${log.original_size} bytes` : undefined],
		['id', log.id],
	].filter(([, value]) => value !== undefined && value !== null);
	const more = h('div.fetched', h('p.quiet', 'Loading details …'));

	loadMore(execution, log, more);
	return h('div.details', { role: 'presentation' },
		h('div.details-bar', { role: 'gridcell' },
			h('button.small', { type: 'button', onclick: event => copy(linkToLine(execution, log), event.target) }, 'Copy link'),
			h('button.small', { type: 'button', onclick: event => copy(JSON.stringify(log.whole ?? log, null, 2), event.target) }, 'Copy as JSON'),
			h('button.small', { type: 'button', onclick: close }, 'Close')),
		friendly && section('Message', null, h('p.full', friendly)),
		section(friendly ? 'Technical message' : 'Message', message, h('pre.full', { tabindex: 0 }, message)),
		more,
		h('dl.facts', facts.map(([name, value]) => h('div', h('dt', name), h('dd', String(value))))));
}

/* Stack trace, technical details and metrics are not in the list: they are fetched once. */
async function loadMore(execution, log, place) {
	const show = whole => fill(place,
		whole.stack_trace && section('Stack trace', whole.stack_trace, stackTrace(whole.stack_trace)),
		[['Data', 'data'], ['Technical details', 'technical_details'], ['Performance', 'performance_metrics']]
			.filter(([, name]) => hasEntries(whole[name]))
			.map(([title, name]) => section(title, JSON.stringify(whole[name], null, 2), jsonTree(whole[name], name))));
	if (log.whole) {
		show(log.whole);
		return;
	}
	try {
		const whole = await details(execution, log);
		if (whole)
			log.whole = whole;
		show(whole ?? log);
	} catch (problem) {
		show(log);
		place.append(h('p.problem', `Details could not be loaded: ${problem.message} `,
			h('button.small', { type: 'button', onclick: () => loadMore(execution, log, place) }, 'Try again')));
	}
}
