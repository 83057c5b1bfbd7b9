// The view of one execution: head, steps, toolbar, lines, and how its stream stands.

import { h, fill, whenReleased, statusMark, progressBar, moment, duration, between, count, many, say, workflowLink, executionLink } from './dom.js';
import { Problem } from './api.js';
import { Store, isFiltering, noFilter } from './store.js';
import { load, AUTOMATIC } from './loader.js';
import { LogList } from './list.js';
import { Steps, drawSteps } from './steps.js';
import { Toolbar } from './toolbar.js';
import { download } from './download.js';
import { copy, linkToLine } from './links.js';
import { problemPanel } from './home.js';

/* The status of a running execution is asked for so often; its logs are pushed. */
const REFRESH = 10000;

export class ExecutionView {
	#id;
	#place;
	#abort = new AbortController();
	#store = new Store();
	#steps = new Steps();
	#list;
	#toolbar;
	#loader = null;
	#execution = null;
	#summary = null;
	#state = { name: 'loading' };
	#paused = false;
	#resumeFollowing = true;
	#held = 0;					// lines that came while paused, or while not following
	#target;
	#parts = {};
	#timers = [];
	#frame = 0;
	#loadingOlder = true;

	constructor(place, id, parameters) {
		this.#id = id;
		this.#place = place;
		this.#target = parameters.get('line');
		this.#list = new LogList(this.#store, id);
		this.#list.following = !this.#target;
		this.#toolbar = new Toolbar(noFilter(), {
			filter: filter => this.#filtered(filter),
			download: format => download(id, this.#store.shown, format),
			pause: () => this.pause(),
		});
		const parts = this.#parts = {
			head: h('section.execution-head', { 'aria-label': 'Execution' }, h('h1', h('span.mono', id)), h('p.quiet', 'Loading …')),
			steps: h('section.steps', { 'aria-label': 'Steps', hidden: true }),
			notice: h('div.notice', { hidden: true }),
			empty: h('div.empty', { hidden: true }),
			jump: h('button.jump', { type: 'button', hidden: true, onclick: () => this.follow() }),
			connection: h('span.connection', { 'data-state': 'loading' }, 'loading'),
			lines: h('span.lines'),
			older: h('button.small', { type: 'button', hidden: true, onclick: () => this.#more() }),
			follow: h('button.toggle.follow', { type: 'button', title: 'Follow the end (f)', onclick: () => this.follow() }, '↓ Follow'),
		};
		fill(place, h('div.execution', parts.head, parts.steps, this.#toolbar.element, parts.notice,
			h('div.list-place', this.#list.element, parts.empty, parts.jump),
			h('footer.bar', parts.connection, parts.lines, parts.older, h('span.space'), parts.follow)));
		document.title = `${id} · wflog`;
		this.#list.addEventListener('follow', () => this.#followed());
		this.#list.addEventListener('select', () => this.#selected());
		this.#list.addEventListener('drawn', () => this.#drawn());
		this.#start();
	}

	end() {
		this.#abort.abort();
		this.#list.end();
		this.#timers.forEach(clearInterval);
		cancelAnimationFrame(this.#frame);
	}

	async #start() {
		const told = {
			first: (execution, summary, result) => this.#first(execution, summary, result),
			older: result => {
				this.#steps.take(result.fresh);
				this.#list.prepended(result.shown);
				this.#update();
				this.#seekTarget();
			},
			loaded: () => {
				this.#loadingOlder = false;
				this.#update();
				this.#seekTarget(true);
			},
			newer: result => this.#newer(result),
			waiting: problem => this.#waiting(problem),
			failed: problem => this.#notice(`Older logs could not be loaded: ${problem.message}`, 'Try again', () => this.#more()),
			state: (name, detail) => this.#streamState(name, detail),
		};
		try {
			this.#loader = await load(this.#id, this.#store, this.#abort.signal, told);
			if (this.#target && !this.#store.has(this.#target))
				this.#loader.until(this.#target);
		} catch (problem) {
			if (!this.#abort.signal.aborted)
				fill(this.#place, problemPanel(problem instanceof Problem && problem.status === 404
					? new Problem(404, `There is no execution ${this.#id}, or it is not yours.`) : problem));
			if (!(problem instanceof Problem) && !this.#abort.signal.aborted)
				throw problem;
		}
	}

	#first(execution, summary, result) {
		this.#execution = execution;
		this.#summary = summary;
		this.#steps.take(result.fresh);
		this.#list.appended();
		this.#timers.push(setInterval(() => this.#refresh(), REFRESH));
		this.#timers.push(setInterval(() => this.#state.name === 'live' && this.#update(), 1000));
		this.#update();
		this.#seekTarget();
	}

	#newer({ fresh, shown }) {
		this.#steps.take(fresh);
		if (shown > 0) {
			if (this.#paused || !this.#list.following)
				this.#held += shown;
			if (!this.#paused)
				this.#list.appended();
		}
		this.#update();
	}

	// ---- a line that was linked to

	#seekTarget(last = false) {
		if (!this.#target)
			return;
		if (this.#list.goTo(this.#target, true)) {
			this.#target = null;
			this.#notice(null);
		} else if (last && this.#store.complete) {
			this.#target = null;
			this.#notice('The line of this link is not there: it may have been removed by retention.');
		} else
			this.#notice('Looking for the line of this link …');
	}

	#more() {
		this.#loadingOlder = true;
		this.#notice(null);
		this.#loader?.more();
		this.#update();
	}

	// ---- the stream

	#waiting(problem) {
		this.#state = problem ? { name: 'waiting', detail: { problem } } : { name: 'connecting' };
		this.#showConnection();
	}

	#streamState(name, detail) {
		const before = this.#state.name;
		this.#state = { name, detail };
		if (name === 'ended') {
			if (detail && this.#execution)
				this.#execution = { ...this.#execution, status: detail.status };
			this.#refresh(true);
			if (before !== 'ended')
				say(`Execution ended: ${(detail?.status ?? '').toLowerCase()}`);
		} else if (name === 'waiting' && before === 'live')
			say('Connection lost, trying again');
		else if (name === 'live' && this.#wasLost) {
			say('Connected again');
			this.#refresh(true);
		}
		this.#wasLost = name === 'waiting' || (name === 'connecting' && this.#wasLost);
		if (name === 'refused') {
			const gap = detail.status === 410 || detail.status === 422;
			this.#notice(gap ? `Some logs were removed before they could be shown: ${detail.message}` : detail.status === 404
				? 'The execution is gone, or no longer yours.' : detail.message,
			'Load anew', () => dispatchEvent(new HashChangeEvent('hashchange')));
		}
		this.#showConnection();
		this.#update();
	}

	#wasLost = false;

	#showConnection() {
		const { name, detail } = this.#state;
		const place = this.#parts.connection;
		place.dataset.state = this.#paused && name === 'live' ? 'paused' : name;
		const words = {
			loading: 'loading', connecting: 'connecting', live: this.#paused ? 'paused' : 'live', ended: 'ended', refused: 'stopped',
		};
		if (name !== 'waiting') {
			fill(place, words[name] ?? name);
			return;
		}
		const seconds = Math.max(0, Math.ceil(((detail.until ?? Date.now()) - Date.now()) / 1000));
		fill(place, h('span', { title: detail.problem.message }, seconds > 0 ? `disconnected, again in ${seconds} s` : 'disconnected, trying again'),
			detail.now && h('button.small', { type: 'button', onclick: detail.now }, 'Now'));
		clearTimeout(this.#countdown);
		if (detail.until)
			this.#countdown = setTimeout(() => this.#state.name === 'waiting' && whenReleased([place], () => this.#showConnection()), 500);
	}

	#countdown = 0;

	async #refresh(always = false) {
		if (!this.#loader || (!always && (this.#state.name !== 'live' || document.hidden)))
			return;
		try {
			[this.#execution, this.#summary] = await this.#loader.refresh();
			this.#update();
		} catch { /* the stream tells what is wrong */ }
	}

	// ---- drawing, once per frame

	#update() {
		const { head, steps, connection, empty } = this.#parts;
		if (this.#frame === 0 && this.#execution)
			this.#frame = requestAnimationFrame(() => whenReleased([head, steps, connection, empty], () => {
				this.#frame = 0;
				this.#show();
			}));
	}

	#show() {
		const store = this.#store;
		this.#showHead();
		drawSteps(this.#parts.steps, this.#steps, {
			execution: this.#execution, chosen: store.filter.step, now: new Date().toISOString(),
			on: { step: step => this.#toolbar.set({ step }), line: id => this.#toLine(id) },
		});
		this.#toolbar.counts(store.complete || !this.#summary ? store.counts : this.#summary.log_levels);
		this.#toolbar.steps(this.#steps.list());
		this.#showConnection();
		this.#showBar();
		this.#showEmpty();
	}

	#showHead() {
		const one = this.#execution;
		const progress = one.status === 'SUCCESS' ? 100 : this.#steps.progress?.percent ?? one.progress;
		const seconds = one.start_time ? between(one.start_time, one.end_time ?? new Date()) : null;
		const key = JSON.stringify([one, progress, seconds && Math.floor(seconds)]);
		if (this.#parts.head.dataset.shows === key)
			return;
		this.#parts.head.dataset.shows = key;
		fill(this.#parts.head,
			h('div.title', statusMark(one.status), h('h1', { title: this.#id }, h('span.mono', this.#id)),
				h('button.small', { type: 'button', onclick: event => copy(location.origin + location.pathname + executionLink(this.#id), event.target) }, 'Copy link')),
			h('div.facts-line',
				one.workflow_id && h('a', { href: workflowLink(one.workflow_id) }, one.workflow_id),
				one.start_time && h('span', { title: one.start_time }, moment(one.start_time)),
				seconds !== null && h('span', one.is_terminal ? duration(seconds) : duration(Math.floor(seconds)).replace('.0', '')),
				progress !== null && progress !== undefined && h('span.with-bar', progressBar(progress, one.status), `${Math.round(progress)} %`)),
			one.error_message && h('p.error-message', one.error_message));
	}

	#showBar() {
		const store = this.#store;
		const { lines, older } = this.#parts;
		const filtering = isFiltering(store.filter);
		const all = store.complete ? store.logs.length : Math.max(store.total ?? 0, store.logs.length);
		fill(lines, filtering ? `${count(store.shown.length)} of ` : '', many(all, 'line'),
			store.complete ? '' : this.#loadingOlder ? `, loading ${Math.floor(100 * store.logs.length / Math.max(1, all))} %` : `, the last ${count(store.logs.length)} loaded`);
		older.hidden = store.complete || this.#loadingOlder;
		older.textContent = `Load ${count(Math.min(AUTOMATIC, Math.max(0, all - store.logs.length)))} more`;
		this.#followed();
	}

	#showEmpty() {
		const { empty } = this.#parts;
		empty.hidden = this.#store.shown.length > 0;
		if (empty.hidden)
			return;
		if (this.#store.logs.length > 0)
			fill(empty, h('p', 'No line matches.'), h('button', { type: 'button', onclick: () => this.#toolbar.clear() }, 'Clear filters'));
		else if (this.#execution.is_terminal)
			fill(empty, h('p', 'This execution has ended without logs.'));
		else
			fill(empty, h('p', 'No logs yet.'), h('p.quiet', 'They will appear here as they are committed.'));
	}

	#followed() {
		const { following } = this.#list;
		if (following && !this.#paused)
			this.#held = 0;
		this.#parts.follow.setAttribute('aria-pressed', following && !this.#paused);
		const { jump } = this.#parts;
		jump.hidden = this.#held === 0 || (following && !this.#paused);
		jump.textContent = `↓ ${many(this.#held, 'new line')}`;
	}

	#drawn() {
		this.#followed();
	}

	#filtered(filter) {
		this.#store.setFilter(filter);
		this.#held = 0;
		this.#list.refiltered();
		this.#update();
	}

	#notice(text, label, action) {
		const { notice } = this.#parts;
		notice.hidden = text === null;
		if (text !== null)
			fill(notice, h('span', text), label && h('button.small', { type: 'button', onclick: action }, label),
				h('button.small', { type: 'button', 'aria-label': 'Close', onclick: () => { notice.hidden = true; } }, '✕'));
	}

	#toLine(id) {
		if (this.#list.goTo(id))
			return;
		this.#toolbar.clear();
		this.#list.goTo(id);
	}

	/* The address names the selected line, so that it can be passed on as it is. */
	#selected() {
		const log = this.#list.selected;
		history.replaceState(null, '', executionLink(this.#id, { line: log?.id }));
	}

	// ---- what keys and buttons do

	/** Go to the end and stay there. */
	follow() {
		this.#resumeFollowing = true;
		this.pause(false);
		this.#list.follow(true);
		this.#list.appended();
	}

	/** Keep the lines as they are; what comes is kept for later. */
	pause(on = !this.#paused) {
		if (on === this.#paused)
			return;
		this.#paused = on;
		this.#toolbar.paused(on);
		this.#list.freeze(on);
		if (on)
			this.#resumeFollowing = this.#list.following;
		this.#list.follow(!on && this.#resumeFollowing);
		this.#showConnection();
		this.#followed();
		say(on ? 'Paused' : 'Resumed');
	}

	/** A key that was pressed anywhere but in a field; whether it meant something. */
	key(event) {
		const list = this.#list;
		const failed = log => log.level === 'error' || log.level === 'critical';
		const inList = event.target.closest?.('#list') || event.target === document.body || event.target.id === 'main';
		const actions = {
			j: () => list.move(1), k: () => list.move(-1),
			g: () => list.move(-Infinity), G: () => list.move(Infinity),
			f: () => list.following ? list.follow(false) : this.follow(),
			p: () => this.pause(),
			e: () => list.seek(1, failed) || say('No further error'), E: () => list.seek(-1, failed) || say('No earlier error'),
			'1': () => this.#toolbar.set({ view: 'all' }), '2': () => this.#toolbar.set({ view: 'business' }), '3': () => this.#toolbar.set({ view: 'technical' }),
			m: () => this.#toolbar.milestones.click(),
			'/': () => this.#toolbar.search.select(),
			d: () => this.#toolbar.openMenu(),
			y: () => list.selected && copy(linkToLine(this.#id, list.selected)),
			x: () => this.#toolbar.clear(),
			w: () => { if (this.#execution?.workflow_id) location.hash = workflowLink(this.#execution.workflow_id); },
		};
		const inListOnly = {
			ArrowDown: () => list.move(1), ArrowUp: () => list.move(-1),
			PageDown: () => list.move(list.page), PageUp: () => list.move(-list.page),
			Home: () => list.move(-Infinity), End: () => list.move(Infinity),
			' ': () => this.pause(),
			Enter: () => list.selected && list.toggle(list.selected),
			ArrowRight: () => list.selected && list.toggle(list.selected, true),
			ArrowLeft: () => list.selected && list.toggle(list.selected, false),
			Escape: () => list.selected && list.toggle(list.selected, false),
		};
		const onList = event.target.id === 'list' || (inList && !event.target.closest('.details'));
		const action = actions[event.key] ?? (onList ? inListOnly[event.key] : undefined);
		action?.();
		return action !== undefined;
	}
}
