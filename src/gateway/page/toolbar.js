// What is shown of an execution's logs: view, levels, step, milestones, text.

import { h, fill, count } from './dom.js';
import { levels, noFilter, isFiltering } from './store.js';
import { formats } from './download.js';

const views = [['all', 'All', 'Everything'], ['business', 'Business', 'What people are told: business logs and milestones'],
	['technical', 'Technical', 'What programs wrote']];

/** The toolbar; told.filter(filter) when it changes, told.download(format), told.pause(). */
export class Toolbar {
	#told;
	#filter;
	#timer = null;
	#levelButtons = new Map();
	#viewButtons = new Map();

	constructor(filter, told) {
		this.#told = told;
		this.#filter = filter;
		this.search = h('input.search', {
			type: 'search', placeholder: 'Filter by text', 'aria-label': 'Filter by text', title: 'Filter by text (/)',
			value: filter.text, autocomplete: 'off', autocapitalize: 'off', spellcheck: false,
			oninput: () => {
				clearTimeout(this.#timer);
				this.#timer = setTimeout(() => this.set({ text: this.search.value }), 120);
			},
			onkeydown: event => {
				if (event.key === 'Escape' || event.key === 'Enter') {
					event.preventDefault();
					if (event.key === 'Escape')
						this.search.value = '';
					clearTimeout(this.#timer);
					this.set({ text: this.search.value });
					document.getElementById('list')?.focus();
				}
			},
		});
		this.step = h('select', { 'aria-label': 'Step', title: 'Step', onchange: () => this.set({ step: this.step.value }) });
		this.milestones = h('button.toggle', {
			type: 'button', title: 'Milestones only (m)', 'aria-pressed': false, onclick: () => this.set({ milestones: !this.#filter.milestones }),
		}, '◆', h('span.word', ' Milestones'));
		this.reset = h('button.small', { type: 'button', hidden: true, onclick: () => this.clear() }, 'Clear filters');
		this.pause = h('button.toggle.pause', { type: 'button', 'aria-pressed': false, title: 'Pause (Space)', onclick: () => told.pause() }, '‖', h('span.word', ' Pause'));
		this.element = h('div.toolbar', { role: 'toolbar', 'aria-label': 'What is shown' },
			h('div.group', { role: 'group', 'aria-label': 'View' }, views.map(([name, label, title], index) => {
				const button = h('button.toggle', { type: 'button', title: `${title} (${index + 1})`, 'aria-pressed': false, onclick: () => this.set({ view: name }) }, label);
				this.#viewButtons.set(name, button);
				return button;
			})),
			h('div.group.levels', { role: 'group', 'aria-label': 'Levels' }, levels.map(level => {
				const number = h('span.number');
				const button = h('button.toggle.level-toggle', {
					type: 'button', 'data-level': level, 'aria-pressed': true, title: `${level}: click to hide or show, double click for only this`,
					onclick: () => this.toggleLevel(level), ondblclick: () => this.only(level),
				}, h('span.level-name', level), number);
				this.#levelButtons.set(level, { button, number });
				return button;
			})),
			this.step, this.milestones, this.search, this.reset, h('span.space'), this.pause,
			h('details.menu', { onkeydown: event => event.key === 'Escape' && this.closeMenu() },
				h('summary.toggle', { title: 'Download what is shown', 'aria-label': 'Download' }, '↓', h('span.word', ' Download')),
				h('div.menu-items', Object.entries(formats).map(([name, { label }]) =>
					h('button', { type: 'button', onclick: () => { this.closeMenu(); told.download(name); } }, label)))));
		this.show();
	}

	closeMenu() {
		const menu = this.element.querySelector('.menu');
		if (menu.open) {
			menu.open = false;
			menu.firstElementChild.focus();
		}
	}

	openMenu() {
		const menu = this.element.querySelector('.menu');
		menu.open = true;
		menu.querySelector('button').focus();
	}

	set(change) {
		this.#filter = { ...this.#filter, ...change };
		this.show();
		this.#told.filter(this.#filter);
	}

	clear() {
		this.search.value = '';
		this.set(noFilter());
	}

	toggleLevel(level) {
		const chosen = new Set(this.#filter.levels);
		if (!chosen.delete(level))
			chosen.add(level);
		this.set({ levels: chosen });
	}

	only(level) {
		this.set({ levels: new Set([level]) });
	}

	/** How it stands. */
	show() {
		const filter = this.#filter;
		for (const [name, button] of this.#viewButtons)
			button.setAttribute('aria-pressed', filter.view === name);
		for (const [level, { button }] of this.#levelButtons)
			button.setAttribute('aria-pressed', filter.levels.has(level));
		this.milestones.setAttribute('aria-pressed', filter.milestones);
		this.step.value = filter.step;
		this.reset.hidden = !isFiltering(filter);
	}

	counts(numbers) {
		for (const [level, { button, number }] of this.#levelButtons) {
			const value = numbers[level] ?? 0;
			number.textContent = value > 0 ? count(value) : '';
			button.classList.toggle('none', value === 0);
		}
	}

	steps(list) {
		const wanted = list.map(node => `${node.step}\n${node.name ?? node.step}`).join('\0');
		if (this.step.dataset.has === wanted)
			return;
		this.step.dataset.has = wanted;
		fill(this.step, h('option', { value: '' }, 'All steps'),
			list.map(node => h('option', { value: node.step }, node.name ?? node.step)));
		this.step.value = this.#filter.step;
		this.step.hidden = list.length === 0;
	}

	paused(on) {
		this.pause.setAttribute('aria-pressed', on);
		fill(this.pause, on ? '▶' : '‖', h('span.word', on ? ' Resume' : ' Pause'));
	}
}
