// The list of lines, of which only those in sight are elements.
//
// Lines are equally high, but for open ones, whose details are measured.  What
// is asked for (more lines, scrolling, a selection) is noted, and drawn once
// per frame: heights are read before anything is changed, so the browser lays
// out once.

import { h, clock, day, marked, duration } from './dom.js';
import { messageOf, stepOf } from './store.js';
import { detailsOf } from './details.js';

const OVERSCAN = 12;
/* Browsers have no elements higher than about 33 million pixels; Firefox 17. */
const MAX_HEIGHT = 16000000;

export class LogList extends EventTarget {
	#store;
	#scroller;
	#canvas;
	#drawn = new Map();			// index -> {element, log}
	#open = new Map();			// log -> height of its details, 0 until measured
	#rowHeight = 24;
	#frame = 0;
	#observer;
	#execution;
	#stale = false;
	#limit = Infinity;			// while paused: so many lines there were
	following = true;
	selected = null;			// a log

	constructor(store, execution) {
		super();
		this.#store = store;
		this.#execution = execution;
		this.#canvas = h('div.rows', { role: 'presentation' });
		this.#scroller = h('div.list', {
			role: 'treegrid', 'aria-label': 'Log lines', 'aria-readonly': true, tabindex: 0, id: 'list',
			onscroll: () => this.#scrolled(), onclick: event => this.#clicked(event),
		}, this.#canvas);
		this.element = this.#scroller;
		this.#observer = new ResizeObserver(entries => this.#measured(entries));
		this.#observer.observe(this.#scroller);
	}

	end() {
		this.#observer.disconnect();
		cancelAnimationFrame(this.#frame);
	}

	// ---- where lines are

	#openAbove(index) {
		let height = 0;
		for (const [log, own] of this.#open) {
			const at = this.#indexOf(log);
			if (at >= 0 && at < index)
				height += own;
		}
		return height;
	}

	#top(index) {
		return index * this.#rowHeight + this.#openAbove(index);
	}

	/* Logs are found by a guess that is nearly always right: most are appended, some put in front. */
	#places = new WeakMap();

	#indexOf(log) {
		const shown = this.#store.shown;
		const guess = this.#places.get(log) ?? -1;
		if (shown[guess] === log)
			return guess;
		const index = shown.indexOf(log);
		this.#places.set(log, index);
		return index;
	}

	#indexAt(y) {
		let index = Math.floor(y / this.#rowHeight);
		if (this.#open.size > 0) {
			const opened = [...this.#open].map(([log, own]) => [this.#indexOf(log), own]).filter(([at]) => at >= 0).sort((a, b) => a[0] - b[0]);
			let extra = 0;
			index = null;
			for (const [at, own] of opened) {
				const top = at * this.#rowHeight + extra;
				if (y < top + this.#rowHeight)
					break;
				if (y < top + this.#rowHeight + own)
					return at;
				extra += own;
			}
			index = Math.floor((y - extra) / this.#rowHeight);
		}
		return Math.max(0, Math.min(this.#count - 1, index));
	}

	get #count() {
		return Math.min(this.#limit, this.#store.shown.length);
	}

	get #height() {
		return Math.min(MAX_HEIGHT, this.#top(this.#count));
	}

	// ---- what has changed

	/** Lines came behind the others. */
	appended() {
		this.#draw();
	}

	/** So many of those shown came in front of the others: what is in sight stays where it is. */
	prepended(number) {
		this.#limit += number;
		if (number > 0 && !this.following)
			this.#scroller.scrollTop += number * this.#rowHeight;
		this.#clear();
	}

	/** Other lines are shown than before. */
	refiltered() {
		if (this.#limit !== Infinity)
			this.#limit = this.#store.shown.length;
		this.#clear();
		if (this.following)
			return;
		const index = this.selected ? this.#indexOf(this.selected) : -1;
		if (index >= 0)
			this.#scroller.scrollTop = this.#top(index) - this.#scroller.clientHeight / 2;
	}

	/** The same lines look different. */
	#clear() {
		this.#stale = true;
		this.#draw();
	}

	/** Show no further lines, or those that have come meanwhile, too. */
	freeze(on) {
		this.#limit = on ? this.#store.shown.length : Infinity;
		this.#draw();
	}

	/** Go to the end and stay there, or not. */
	follow(on) {
		if (this.following === on)
			return;
		this.following = on;
		if (on)
			this.#draw();
		this.dispatchEvent(new Event('follow'));
	}

	#programmatic = 0;

	#scrolled() {
		const { scrollTop, clientHeight } = this.#scroller;
		const atEnd = scrollTop + clientHeight >= this.#canvas.offsetHeight - this.#rowHeight / 2;
		if (Math.abs(scrollTop - this.#programmatic) > 1) {
			if (this.following && !atEnd && scrollTop < this.#programmatic)
				this.follow(false);
			else if (!this.following && atEnd)
				this.follow(true);
		}
		this.#draw();
	}

	#measured(entries) {
		for (const entry of entries) {
			const log = entry.target.log;
			if (log && this.#open.has(log))
				this.#open.set(log, entry.target.offsetHeight);
		}
		this.#draw();
	}

	// ---- drawing

	#draw() {
		if (this.#frame === 0)
			this.#frame = requestAnimationFrame(() => {
				this.#frame = 0;
				this.#now();
			});
	}

	#now() {
		const scroller = this.#scroller;
		const height = scroller.clientHeight;
		const lineHeight = parseFloat(getComputedStyle(scroller).getPropertyValue('--row')) || 24;
		if (lineHeight !== this.#rowHeight) {
			this.#rowHeight = lineHeight;
			this.#stale = true;
		}
		const total = this.#height;
		const top = this.following ? Math.max(0, total - height) : scroller.scrollTop;

		if (this.#stale) {
			for (const { element } of this.#drawn.values())
				this.#remove(element);
			this.#drawn.clear();
			this.#stale = false;
		}
		const from = Math.max(0, this.#indexAt(top) - OVERSCAN);
		const to = Math.min(this.#count, this.#indexAt(top + height) + 1 + OVERSCAN);
		for (const [index, { element, log }] of this.#drawn)
			if (index < from || index >= to || this.#store.shown[index] !== log) {
				this.#remove(element);
				this.#drawn.delete(index);
			}
		this.#canvas.style.height = `${total}px`;
		scroller.setAttribute('aria-rowcount', this.#store.complete ? this.#store.shown.length : -1);
		const added = document.createDocumentFragment();
		for (let index = from; index < to; index++) {
			const log = this.#store.shown[index];
			let one = this.#drawn.get(index);
			if (!one) {
				one = { element: this.#row(log, index), log };
				this.#drawn.set(index, one);
				this.#places.set(log, index);
				added.append(one.element);
			}
			const y = this.#top(index);
			if (one.y !== y) {
				one.y = y;
				one.element.style.transform = `translateY(${y}px)`;
			}
		}
		this.#canvas.append(added);
		if (this.following && scroller.scrollTop !== top) {
			scroller.scrollTop = total;
			this.#programmatic = scroller.scrollTop;
		} else
			this.#programmatic = this.following ? scroller.scrollTop : -1;
		this.dispatchEvent(new Event('drawn'));
	}

	#remove(element) {
		const open = element.querySelector('.details');
		if (open)
			this.#observer.unobserve(open);
		element.remove();
	}

	#row(log, index) {
		const { view, text } = this.#store.filter;
		const needle = text.toLowerCase();
		const open = this.#open.has(log);
		const message = messageOf(log, view);
		const firstLine = message.indexOf('\n');
		const lines = firstLine < 0 ? 1 : message.split('\n').length;
		const row = h('div.row', {
			role: 'row', id: `line-${log.id}`, 'aria-rowindex': this.#store.complete ? index + 1 : null,
			'aria-expanded': open, 'aria-selected': log === this.selected, 'data-level': log.level,
			'data-event': log.event_type, 'data-milestone': log.is_milestone, 'data-index': index,
		}, h('div.line', { role: 'presentation' },
			h('span.mark', { role: 'presentation' }),
			h('time.time', { role: 'gridcell', datetime: log.timestamp, title: `${day(log.timestamp)} ${log.timestamp}` }, clock(log.timestamp)),
			h('span.level', { role: 'gridcell' }, log.level),
			h('span.step', { role: 'gridcell', title: stepOf(log) }, ...marked(log.node_name ?? log.node_id ?? log.source ?? '', needle)),
			h('span.message', { role: 'gridcell' },
				log.is_milestone && h('span.milestone', { 'aria-label': 'milestone' }, '◆'),
				eventWord(log),
				...marked(firstLine < 0 ? message : message.slice(0, firstLine), needle),
				lines > 1 && h('span.chip', `+${lines - 1} lines`),
				hasData(log) && h('span.chip', '{ }'),
				log.attempt > 1 && h('span.chip', `attempt ${log.attempt}`),
				log.duration_seconds !== undefined && log.event_type !== 'log' && h('span.chip', duration(log.duration_seconds)))));
		row.log = log;
		if (log.event_type === 'separator')
			row.classList.add('separator');
		if (open) {
			const details = detailsOf(this.#execution, log, this.#store.filter, () => this.toggle(log, false));
			details.log = log;
			row.append(details);
			this.#observer.observe(details);
		}
		return row;
	}

	// ---- selection and keys

	#clicked(event) {
		const line = event.target.closest('.line');
		if (!line || String(getSelection()).length > 0)
			return;
		const { log } = line.parentElement;
		this.select(log, false);
		this.toggle(log);
	}

	/** Open or close the details of a line. */
	toggle(log, on = !this.#open.has(log)) {
		if (on === this.#open.has(log))
			return;
		if (on) {
			this.#open.set(log, 0);
			this.follow(false);
		} else
			this.#open.delete(log);
		const index = this.#indexOf(log);
		const one = this.#drawn.get(index);
		if (one) {
			this.#remove(one.element);
			this.#drawn.delete(index);
		}
		this.#draw();
		if (!on)
			this.#scroller.focus({ preventScroll: true });
	}

	select(log, reveal = true) {
		this.selected = log;
		for (const { element, log: one } of this.#drawn.values())
			element.setAttribute('aria-selected', one === log);
		this.#scroller.setAttribute('aria-activedescendant', log ? `line-${log.id}` : '');
		if (reveal && log)
			this.#reveal(this.#indexOf(log));
		this.dispatchEvent(new Event('select'));
	}

	#reveal(index, middle = false) {
		if (index < 0)
			return;
		const top = this.#top(index);
		const { scrollTop, clientHeight } = this.#scroller;
		if (middle || top < scrollTop || top + this.#rowHeight > scrollTop + clientHeight) {
			this.follow(false);
			this.#canvas.style.height = `${this.#height}px`;
			this.#scroller.scrollTop = middle ? top - clientHeight / 3
				: top < scrollTop ? top - this.#rowHeight : top + 2 * this.#rowHeight - clientHeight;
		}
		this.#draw();
	}

	/** Show a line, wherever it is; false if it is not among those shown. */
	goTo(id, open = false) {
		const index = this.#store.shown.findIndex(log => log.id === id);
		if (index < 0)
			return false;
		const log = this.#store.shown[index];
		this.#places.set(log, index);
		this.follow(false);
		this.select(log, false);
		if (open)
			this.toggle(log, true);
		this.#reveal(index, true);
		return true;
	}

	/** Select the line so many further on, or the first or last one. */
	move(by) {
		const last = this.#count - 1;
		if (last < 0)
			return;
		const at = this.selected ? this.#indexOf(this.selected) : -1;
		const from = at >= 0 ? at : this.#indexAt(this.#scroller.scrollTop + this.#scroller.clientHeight - 1);
		const index = Math.max(0, Math.min(last, at < 0 && Number.isFinite(by) ? from : from + by));
		if (by < 0)
			this.follow(false);
		this.select(this.#store.shown[index]);
		if (by === Infinity)
			this.follow(true);
	}

	/** So many lines as fit. */
	get page() {
		return Math.max(1, Math.floor(this.#scroller.clientHeight / this.#rowHeight) - 2);
	}

	/** Select the next line in a direction for which this holds; false if there is none. */
	seek(direction, holds) {
		const shown = this.#store.shown;
		let index = this.selected ? this.#indexOf(this.selected) : direction > 0 ? -1 : shown.length;
		for (index += direction; index >= 0 && index < shown.length; index += direction)
			if (holds(shown[index])) {
				this.follow(false);
				this.select(shown[index], false);
				this.#reveal(index, true);
				return true;
			}
		return false;
	}
}

/* Events that say something beyond their message. */
function eventWord(log) {
	const words = { step_started: 'start', step_completed: 'done', step_error: 'failed', step_input: 'input', step_output: 'output' };
	const word = words[log.event_type];
	return word && h('span.event', { 'data-event': log.event_type }, word);
}

const hasData = log => log.data && Object.keys(log.data).length > 0;
