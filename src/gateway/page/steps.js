// The steps of an execution over time, with what they came to, and milestones.

import { h, fill, duration, between, count, moment } from './dom.js';
import { stepOf } from './store.js';

const WORDS = { running: 'running', completed: 'completed', failed: 'failed' };

/** What is known of steps; logs may be told in any order. */
export class Steps {
	nodes = new Map();			// step -> {name, number, first, last, logs, errors, runs: Map(attempt -> {...})}
	milestones = new Map();		// id -> log
	first = null;
	last = null;
	progress = null;			// {at, percent} of the latest log that says so
	totalSteps = null;

	take(logs) {
		for (const log of logs)
			this.#one(log);
	}

	#one(log) {
		const at = log.timestamp;
		if (this.first === null || at < this.first)
			this.first = at;
		if (this.last === null || at > this.last)
			this.last = at;
		if (log.is_milestone)
			this.milestones.set(log.id, log);
		if (log.total_steps)
			this.totalSteps = Math.max(this.totalSteps ?? 0, log.total_steps);
		const percent = log.progress_percentage ?? (log.step_number && log.total_steps ? 100 * log.step_number / log.total_steps : null);
		if (percent !== null && (this.progress === null || at >= this.progress.at))
			this.progress = { at, percent };
		const step = stepOf(log);
		if (step === '')
			return;
		let node = this.nodes.get(step);
		if (!node)
			this.nodes.set(step, node = { step, name: null, number: null, first: at, last: at, logs: 0, errors: 0, firstError: null, runs: new Map() });
		node.name = log.node_name ?? node.name;
		node.number = log.step_number ?? node.number;
		node.logs++;
		if (at < node.first)
			node.first = at;
		if (at > node.last)
			node.last = at;
		if (log.level === 'error' || log.level === 'critical') {
			node.errors++;
			if (node.firstError === null || at < node.firstError.timestamp)
				node.firstError = log;
		}
		const attempt = log.attempt ?? 1;
		let run = node.runs.get(attempt);
		if (!run)
			node.runs.set(attempt, run = { attempt, first: at, last: at, started: null, ended: null, status: null });
		if (at < run.first)
			run.first = at;
		if (at > run.last)
			run.last = at;
		if (log.event_type === 'step_started' && (run.started === null || at > run.started)) {
			run.started = at;
			if (run.ended === null || at > run.ended)
				run.status = 'running';
		} else if ((log.event_type === 'step_completed' || log.event_type === 'step_error') && (run.ended === null || at >= run.ended)) {
			run.ended = at;
			if (run.started === null || at >= run.started)
				run.status = log.event_type === 'step_error' ? 'failed' : 'completed';
		}
	}

	/** The steps in order: by number, then by when they began. */
	list() {
		return [...this.nodes.values()].sort((a, b) =>
			(a.number ?? Infinity) - (b.number ?? Infinity) || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
	}

	/** How a step stands: its latest attempt decides. */
	static status(node, over) {
		const run = node.runs.get(Math.max(...node.runs.keys()));
		if (run.status === 'running' && over)
			return 'stopped';
		return run.status ?? (over ? 'ended' : 'running');
	}
}

const sign = { running: '▶', completed: '✓', failed: '✕', stopped: '⊘', ended: '·' };

/**
 * Draw them: a row for each step, bars along time, milestones above.
 * on.step(step) when one is chosen, on.line(id) for a milestone.
 */
export function drawSteps(place, steps, { execution, chosen, now, on }) {
	const list = steps.list();
	const over = execution.is_terminal;
	const from = steps.first ?? execution.start_time;
	const to = over ? execution.end_time > steps.last ? execution.end_time : steps.last ?? execution.end_time : now;
	const span = Math.max(0.001, between(from, to));
	const part = at => Math.max(0, Math.min(100, 100 * between(from, at) / span));
	const milestones = [...steps.milestones.values()].sort((a, b) => a.timestamp < b.timestamp ? -1 : 1);

	place.hidden = list.length === 0 && milestones.length === 0;
	if (place.hidden)
		return;
	const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
	const scrolled = place.querySelector('.step-list')?.scrollTop ?? 0;
	fill(place,
		h('div.steps-head',
			h('h2', 'Steps'),
			h('span.quiet', list.length > 0 ? `${count(list.filter(node => Steps.status(node, over) === 'completed').length)} of ${count(Math.max(list.length, steps.totalSteps ?? 0))} done` : ''),
			chosen && h('button.small', { type: 'button', onclick: () => on.step(''), 'data-key': 'all' }, 'Show all'),
			h('span.axis', h('span', moment(from).slice(11)), h('span', duration(span)), h('span', over ? moment(to).slice(11) : 'now'))),
		milestones.length > 0 && h('div.milestones',
			h('span.steps-label', `◆ ${milestones.length === 1 ? '1 milestone' : `${count(milestones.length)} milestones`}`),
			h('div.lane', milestones.slice(-200).map(log => h('button.diamond', {
				type: 'button', title: `${log.message}\n${moment(log.timestamp)}`, 'aria-label': `Milestone: ${log.message}`,
				'data-key': log.id, style: { left: `${part(log.timestamp)}%` }, onclick: () => on.line(log.id),
			})))),
		h('ol.step-list', list.slice(0, 500).map(node => {
			const status = Steps.status(node, over);
			const runs = [...node.runs.values()].sort((a, b) => a.attempt - b.attempt);
			const latest = runs.at(-1);
			const begun = latest.started ?? latest.first;
			const ended = status === 'running' ? now : latest.ended ?? latest.last;
			const seconds = between(begun, ended);
			return h('li', h('button.step-row', {
				type: 'button', 'data-status': status, 'aria-pressed': chosen === node.step, 'data-key': `step ${node.step}`,
				title: `${node.name ?? node.step}: ${WORDS[status] ?? status}, ${count(node.logs)} logs`,
				onclick: () => on.step(chosen === node.step ? '' : node.step),
			},
			h('span.steps-label', h('span.sign', { 'aria-hidden': 'true' }, sign[status]), h('span.step-name', node.name ?? node.step),
				h('span.hidden', `, ${WORDS[status] ?? status}`),
				runs.length > 1 && h('span.chip', `×${runs.length}`),
				node.errors > 0 && h('span.chip.errors', { title: `${node.errors} errors` }, count(node.errors))),
			h('span.lane', runs.map(run => {
				const start = run.started ?? run.first;
				const end = run === latest ? ended : run.ended ?? run.last;
				return h('span.bar', {
					'data-status': run === latest ? status : run.status ?? 'ended',
					style: { left: `${part(start)}%`, width: `${Math.max(0, part(end) - part(start))}%` },
				});
			})),
			h('span.took', seconds > 0 || latest.ended ? duration(seconds) : '')));
		})));
	place.querySelector('.step-list').scrollTop = scrolled;
	if (focused)
		place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}
