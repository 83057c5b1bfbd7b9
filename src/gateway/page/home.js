// The executions there are; and what is shown where something went wrong.

import { h, fill, whenReleased, statusMark, progressBar, ago, duration, between, count, executionLink, workflowLink } from './dom.js';
import { get, paths } from './api.js';

const REFRESH = 5000;
const statuses = ['NEW', 'PENDING', 'RUNNING', 'PAUSED', 'WAITING_FOR_HUMAN', 'SUCCESS', 'FAILED', 'CANCELLED'];

/** What went wrong, and a way on. */
export function problemPanel(problem, again) {
	const title = { 404: 'Not found', 403: 'Not allowed', 0: 'Not reachable' }[problem.status] ?? 'This did not work';
	return h('div.panel', { role: 'alert' }, h('h1', title), h('p', problem.message),
		h('p', again && h('button', { type: 'button', onclick: again }, 'Try again'), ' ', h('a', { href: '#/' }, 'All executions')));
}

/** A table of executions, also used for those of a workflow. */
export function executionTable(executions, withWorkflow = true) {
	return h('table.executions', h('thead', h('tr', h('th', { scope: 'col' }, 'Status'), h('th', { scope: 'col' }, 'Execution'),
		withWorkflow && h('th', { scope: 'col' }, 'Workflow'), h('th', { scope: 'col' }, 'Started'),
		h('th.number', { scope: 'col' }, 'Took'), h('th.number', { scope: 'col' }, 'Logs'))),
	h('tbody', executions.map(one => h('tr', { 'data-execution': one.execution_id },
		h('td', statusMark(one.status)),
		h('td.name', h('a', { href: executionLink(one.execution_id) }, one.execution_id),
			!one.is_terminal && one.progress !== undefined && one.progress !== null && progressBar(one.progress, one.status),
			one.error_message && h('span.error-text', { title: one.error_message }, one.error_message)),
		withWorkflow && h('td.workflow', h('a', { href: workflowLink(one.workflow_id) }, one.workflow_id)),
		h('td.when', { title: one.start_time }, ago(one.start_time)),
		h('td.number', duration(between(one.start_time, one.end_time ?? new Date()))),
		h('td.number', count(one.total_logs ?? 0))))));
}

/** More and more of a list of executions, kept up to date. */
export class ExecutionList {
	#place;
	#parameters;
	#signal;
	#withWorkflow;
	#told;
	#pages = 1;
	#shown = '';

	constructor(place, parameters, signal, withWorkflow, told) {
		this.#place = place;
		this.#parameters = parameters;
		this.#signal = signal;
		this.#withWorkflow = withWorkflow;
		this.#told = told;
		this.#run();
	}

	change(parameters) {
		this.#parameters = parameters;
		this.#pages = 1;
		this.#once();
	}

	async #run() {
		fill(this.#place, h('p.quiet.loading', 'Loading …'));
		await this.#once();
		const timer = setInterval(() => document.hidden || this.#once(), REFRESH);
		this.#signal.addEventListener('abort', () => clearInterval(timer));
	}

	async #once() {
		const parameters = this.#parameters;
		try {
			const executions = [];
			let after = null;
			for (let page = 0; page < this.#pages; page++) {
				const answer = await get(paths.executions, { ...parameters, limit: 50, after }, this.#signal);
				executions.push(...answer.executions);
				after = answer.pagination.has_more ? answer.pagination.next_cursor : null;
				if (!after)
					break;
			}
			if (parameters !== this.#parameters)
				return;
			this.#told?.(executions);
			whenReleased([this.#place], () => this.#draw(executions, after));
		} catch (problem) {
			if (this.#signal.aborted)
				return;
			this.#shown = '';
			fill(this.#place, problemPanel(problem, () => this.#once()));
		}
	}

	#draw(executions, more) {
		const focused = document.activeElement?.getAttribute?.('href');
		// what runs shows how long it has; the rest stays as it is
		const shown = JSON.stringify([executions, more]);
		if (shown === this.#shown && executions.every(one => one.is_terminal))
			return;
		this.#shown = shown;
		const filtered = Object.values(this.#parameters).some(value => value);
		fill(this.#place, executions.length === 0
			? h('div.panel', h('h2', filtered ? 'None like that' : 'No executions yet'),
				!filtered && h('p', 'Start one and its logs appear here: ', h('code', 'wflog run --workflow hello -- echo hello')))
			: executionTable(executions, this.#withWorkflow),
		more && h('p.more', h('button', { type: 'button', onclick: () => { this.#pages++; this.#once(); } }, 'Show more')));
		if (focused)
			this.#place.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
	}
}

export class HomeView {
	#abort = new AbortController();

	constructor(place, id, parameters) {
		document.title = 'wflog';
		const table = h('div.table');
		const choice = h('select', {
			'aria-label': 'Status', onchange: () => {
				history.replaceState(null, '', choice.value ? `#/?status=${choice.value}` : '#/');
				list.change({ status: choice.value });
			},
		}, h('option', { value: '' }, 'Any status'), statuses.map(status => h('option', { value: status }, status.toLowerCase().replaceAll('_', ' '))));
		choice.value = statuses.includes(parameters.get('status')) ? parameters.get('status') : '';
		fill(place, h('div.page', h('div.page-head', h('h1', 'Executions'), choice), table));
		const list = new ExecutionList(table, { status: choice.value }, this.#abort.signal, true, executions => {
			const names = new Set(executions.flatMap(one => [one.workflow_id, one.execution_id]));
			fill(document.getElementById('known'), [...names].slice(0, 200).map(name => h('option', { value: name })));
		});
	}

	end() {
		this.#abort.abort();
	}

	key() {
		return false;
	}
}

/** What an id that was typed in is: an execution if there is one, else a workflow. */
export async function find(id) {
	const found = await Promise.all([
		get(paths.execution(id)).then(() => executionLink(id), problem => problem),
		get(paths.executions, { workflow_id: id, limit: 1 }).then(answer => answer.executions.length > 0 ? workflowLink(id) : null, problem => problem),
	]);
	return found.find(one => typeof one === 'string') ?? executionLink(id);
}
