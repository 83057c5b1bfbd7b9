// A workflow: its executions and logs over time, figures, errors, and its executions.

import { h, fill, count, duration, moment, ago } from './dom.js';
import { get, paths } from './api.js';
import { ExecutionList, problemPanel } from './home.js';

const spans = {
	day: { label: '24 hours', seconds: 86400, bucket: '1 hour' },
	week: { label: '7 days', seconds: 7 * 86400, bucket: '6 hours' },
	month: { label: '30 days', seconds: 30 * 86400, bucket: '1 day' },
};
const REFRESH = 30000;
const WIDTH = 720;
const HEIGHT = 120;

/* Bars, one stack for each bucket; parts: [[name, label, value of a bucket], …] */
function chart(title, series, parts) {
	const total = one => parts.reduce((sum, [, , value]) => sum + value(one), 0);
	const highest = Math.max(1, ...series.map(total));
	const width = WIDTH / Math.max(1, series.length);
	const sum = ([, , value]) => series.reduce((all, one) => all + value(one), 0);
	return h('figure.chart',
		h('figcaption', title, h('span.legend', parts.filter(part => sum(part) > 0).map(part =>
			h('span', { 'data-part': part[0] }, h('i', { 'aria-hidden': 'true' }), `${part[1]} ${count(sum(part))}`))),
		h('span.quiet', `at most ${count(highest)}`)),
		h('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}: ${parts.map(part => `${part[1]} ${sum(part)}`).join(', ')}` },
			series.map((one, index) => {
				let y = HEIGHT;
				return h('g', h('title', `${moment(one.start).slice(0, 16)}\n${parts.map(([, label, value]) => `${label} ${count(value(one))}`).join('\n')}`),
					h('rect', { x: index * width, y: 0, width, height: HEIGHT, 'data-part': 'none' }),
					parts.map(([name, , value]) => {
						const height = value(one) > 0 ? Math.max(1.5, HEIGHT * value(one) / highest) : 0;
						y -= height;
						return height > 0 && h('rect', { x: index * width + Math.min(1, width / 8), y: Math.max(0, y), width: Math.max(0.5, width - Math.min(2, width / 4)), height, 'data-part': name });
					}));
			})),
		series.length > 0 && h('div.axis', { 'aria-hidden': 'true' }, h('span', moment(series[0].start).slice(0, 16)), h('span', 'now')));
}

/* The buckets of the whole span: the answer has those from the first to the last with something in it. */
function whole(series, since, until, step) {
	const known = new Map(series.map(one => [Math.round(new Date(one.start) / 1000), one]));
	const origin = Date.UTC(2000, 0, 1) / 1000;
	const result = [];
	for (let at = origin + Math.floor((new Date(since) / 1000 - origin) / step) * step; at <= new Date(until) / 1000; at += step)
		result.push(known.get(at) ?? { start: new Date(at * 1000).toISOString(), logs: 0, executions: 0, failed: 0, succeeded: 0 });
	return result;
}

export class WorkflowView {
	#id;
	#abort = new AbortController();
	#figures = h('div.figures', h('p.quiet.loading', 'Loading …'));
	#span;

	constructor(place, id, parameters) {
		this.#id = id;
		this.#span = parameters.get('span') in spans ? parameters.get('span') : 'day';
		document.title = `${id} · wflog`;
		const table = h('div.table');
		this.buttons = Object.entries(spans).map(([name, { label }]) => h('button.toggle', {
			type: 'button', 'aria-pressed': name === this.#span, onclick: () => this.#choose(name),
		}, label));
		fill(place, h('div.page',
			h('div.page-head', h('h1', h('span.quiet', 'Workflow '), h('span.mono', id)), h('div.group', { role: 'group', 'aria-label': 'Span of time' }, this.buttons)),
			this.#figures, h('h2', 'Executions'), table));
		new ExecutionList(table, { workflow_id: id }, this.#abort.signal, false);
		this.#load();
		const timer = setInterval(() => document.hidden || this.#load(), REFRESH);
		this.#abort.signal.addEventListener('abort', () => clearInterval(timer));
	}

	#choose(name) {
		this.#span = name;
		this.buttons.forEach((button, index) => button.setAttribute('aria-pressed', Object.keys(spans)[index] === name));
		history.replaceState(null, '', `#/w/${encodeURIComponent(this.#id)}?span=${name}`);
		this.#load();
	}

	async #load() {
		const name = this.#span;
		const { seconds, bucket } = spans[name];
		try {
			const summary = await get(paths.workflowSummary(this.#id), {
				since: new Date(Date.now() - seconds * 1000).toISOString(), until: new Date().toISOString(), bucket,
			}, this.#abort.signal);
			if (name === this.#span)
				this.#draw(summary);
		} catch (problem) {
			if (!this.#abort.signal.aborted)
				fill(this.#figures, problemPanel(problem, () => this.#load()));
		}
	}

	#draw({ executions, logs, errors, series: some, since, until, bucket_seconds: step }) {
		const series = whole(some, since, until, step);
		const finished = (executions.by_status.SUCCESS ?? 0) + (executions.by_status.FAILED ?? 0) + (executions.by_status.CANCELLED ?? 0);
		const took = executions.duration_seconds ?? {};
		const level = name => one => one.log_levels?.[name] ?? 0;
		const figure = (label, value, title) => h('div.figure', { title }, h('dt', label), h('dd', value));
		fill(this.#figures,
			h('dl.numbers',
				figure('Executions', count(executions.total)),
				figure('Succeeded', finished > 0 ? `${Math.round(1000 * (executions.by_status.SUCCESS ?? 0) / finished) / 10} %` : '–', 'of those that have ended'),
				figure('Took, median', took.count > 0 ? duration(took.p50) : '–'),
				figure('95 of 100 within', took.count > 0 ? duration(took.p95) : '–'),
				figure('Logs', count(logs.total)),
				figure('Logs each', executions.mean_logs === null ? '–' : count(Math.round(executions.mean_logs))),
				figure('Errors', count(errors.total))),
			h('div.charts',
				chart('Executions', series, [['failed', 'failed', one => one.failed], ['succeeded', 'succeeded', one => one.succeeded],
					['other', 'other', one => one.executions - one.failed - one.succeeded]]),
				chart('Logs', series, [['failed', 'errors', one => level('error')(one) + level('critical')(one)],
					['warning', 'warnings', level('warning')],
					['plain', 'other', one => one.logs - level('error')(one) - level('critical')(one) - level('warning')(one)]])),
			errors.most_frequent?.length > 0 && h('section.frequent', h('h2', 'Most frequent errors'),
				h('ol', errors.most_frequent.map(one => h('li', h('span.number', count(one.count)), h('span.text', { title: one.message }, one.message), h('span.quiet', ago(one.last_seen)))))));
	}

	end() {
		this.#abort.abort();
	}

	key() {
		return false;
	}
}
