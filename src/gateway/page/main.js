// The page: where one is, who one is, and keys.

import { h, fill, say } from './dom.js';
import { askWith, setToken, tokenFromAddress, claims, needToken } from './api.js';
import { HomeView, find } from './home.js';
import { ExecutionView } from './execution.js';
import { WorkflowView } from './workflow.js';

const main = document.getElementById('main');
const root = document.documentElement;
let view = null;

// ---- where one is: #/ the executions, #/e/ID one of them, #/w/ID a workflow

function show() {
	tokenFromAddress()?.then(showWho);
	const match = /^#\/(?:([ew])\/([^?]*))?(?:\?(.*))?$/.exec(location.hash || '#/');
	const View = { e: ExecutionView, w: WorkflowView }[match?.[1]] ?? HomeView;
	let id = '';
	try {
		id = decodeURIComponent(match?.[2] ?? '');
	} catch { /* a % that is not the beginning of anything */ }
	view?.end();
	showWho();
	view = new View(main, id, new URLSearchParams(match?.[3] ?? ''));
	main.focus({ preventScroll: true });
}

addEventListener('hashchange', show);

document.getElementById('find').addEventListener('submit', async event => {
	event.preventDefault();
	const field = document.getElementById('find-text');
	const id = field.value.trim();
	if (id === '')
		return;
	field.disabled = true;
	try {
		const target = await find(id);
		field.value = '';
		if (location.hash === target)
			show();
		location.hash = target;
	} finally {
		field.disabled = false;
	}
});

document.getElementById('skip').addEventListener('click', event => {
	event.preventDefault();
	(document.getElementById('list') ?? main).focus();
});

// ---- who one is

function dialog(content, attributes = {}) {
	const element = h('dialog', attributes, content);
	element.addEventListener('close', () => element.remove());
	document.body.append(element);
	element.showModal();
	return element;
}

/* Ask for a token until there is one. */
function askForToken(why) {
	return new Promise(resolve => {
		const field = h('textarea', { id: 'token', rows: 5, required: true, autocomplete: 'off', spellcheck: false, placeholder: 'eyJ…', 'aria-describedby': 'token-why' });
		const element = dialog(h('form', {
			method: 'dialog', onsubmit: () => {
				setToken(field.value);
				showWho();
				resolve();
			},
		},
		h('h2', 'Token'),
		h('p', { id: 'token-why', class: why ? 'problem' : 'quiet' }, why ?? 'A JSON Web Token that this gateway accepts. It stays in this tab and is sent to nobody else.'),
		h('label.hidden', { for: 'token' }, 'Token'), field,
		h('p.buttons', h('button.primary', { type: 'submit' }, 'Go on'))), { 'aria-label': 'Token', class: 'token' });
		element.addEventListener('cancel', event => event.preventDefault());
		field.addEventListener('keydown', event => {
			if (event.key === 'Enter') {
				event.preventDefault();
				element.querySelector('form').requestSubmit();
			}
		});
		field.focus();
	});
}

function showWho() {
	const who = claims();
	const button = document.getElementById('who');
	fill(button, who ? who.sub ?? who.role ?? 'token' : 'token');
	button.title = who?.exp ? `Change the token; this one is good until ${new Date(who.exp * 1000).toLocaleString()}` : 'Give a token';
}

askWith(askForToken);
document.getElementById('who').addEventListener('click', async () => {
	await needToken(null);
	show();
});

// ---- dark and light

function theme(name) {
	if (name)
		root.dataset.theme = name;
	try {
		if (name)
			localStorage.setItem('wflog-theme', name);
	} catch { /* a browser that keeps nothing */ }
}

function otherTheme() {
	const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
	theme(dark ? 'light' : 'dark');
	say(dark ? 'Light' : 'Dark');
}

document.getElementById('theme').addEventListener('click', otherTheme);

// ---- keys

const keys = [
	['j k, ↓ ↑', 'next, previous line'], ['Enter, → ←', 'open and close a line'], ['g G, Home End', 'first and last line'],
	['e E', 'next, previous error'], ['f', 'follow the end'], ['p, Space', 'pause'], ['1 2 3', 'all, business, technical'],
	['m', 'milestones only'], ['/', 'filter by text'], ['x', 'clear filters'], ['y', 'copy the link to a line'], ['d', 'download'],
	['w', 'to the workflow'], ['h', 'all executions'], ['o', 'find an execution'], ['t', 'dark or light'], ['?', 'this list'],
];

function showKeys() {
	const element = dialog([h('h2', 'Keys'), h('dl.keys', keys.map(([name, what]) => h('div', h('dt', name.split(/(?<=,) /).map(one => h('kbd', one.replace(',', '')))), h('dd', what)))),
		h('p.buttons', h('button', { type: 'button', onclick: () => element.close() }, 'Close'))], { 'aria-label': 'Keys' });
}

document.getElementById('help').addEventListener('click', showKeys);

addEventListener('keydown', event => {
	if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]') ||
		event.target.matches?.('input, textarea, select'))
		return;
	const own = { t: otherTheme, '?': showKeys, h: () => { location.hash = '#/'; }, o: () => document.getElementById('find-text').select() };
	const onButton = event.target.matches?.('button, a, summary') && [' ', 'Enter'].includes(event.key);
	if (onButton)
		return;
	if (own[event.key])
		own[event.key]();
	else if (!view?.key(event))
		return;
	event.preventDefault();
});

try {
	theme(localStorage.getItem('wflog-theme'));
} catch { /* likewise */ }
show();
