// Elements, and how times and figures are written.
//
// Everything that is shown goes through h(), which knows only attributes and
// text nodes: nothing that a log says can become an element.

const SVG = 'http://www.w3.org/2000/svg';
const svgTags = new Set(['svg', 'path', 'rect', 'circle', 'line', 'g', 'text', 'title']);

/** An element: h('button.icon', {onclick, title}, 'text', child, …) */
export function h(tag, ...rest) {
	const [name, ...classes] = tag.split('.');
	const element = svgTags.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
	if (classes.length > 0)
		element.setAttribute('class', classes.join(' '));
	let attributes = null;
	if (rest.length > 0 && rest[0] !== null && typeof rest[0] === 'object' && !(rest[0] instanceof Node) && !Array.isArray(rest[0]))
		attributes = rest.shift();
	for (const [key, value] of Object.entries(attributes ?? {})) {
		// false of aria-* and data-* is a value, of other attributes their absence
		const named = /^(aria|data)-/.test(key);
		if (value === null || value === undefined || (value === false && !named))
			continue;
		if (key.startsWith('on'))
			element.addEventListener(key.slice(2), value);
		else if (key === 'style')
			for (const [property, text] of Object.entries(value))
				element.style.setProperty(property, text);
		else if (key === 'value')
			element.value = value;
		else
			element.setAttribute(key, value === true && !named ? '' : String(value));
	}
	add(element, rest);
	return element;
}

function add(element, children) {
	for (const child of children.flat()) {
		if (child === null || child === undefined || child === false)
			continue;
		element.append(child instanceof Node ? child : document.createTextNode(String(child)));
	}
}

/** Put other children in place of those an element has. */
export function fill(element, ...children) {
	element.replaceChildren();
	add(element, children);
	return element;
}

/**
 * Draw, but not while something there is pressed: if it were replaced before it is
 * released there would be no click.
 */
export function whenReleased(places, draw) {
	if (places.some(place => place.matches(':active')))
		setTimeout(() => whenReleased(places, draw), 50);
	else
		draw();
}

/** A text in which what was searched for is marked. */
export function marked(text, needle) {
	if (!needle)
		return [text];
	const parts = [];
	const low = text.toLowerCase();
	let at = 0;
	// where lower case has another length, positions would not fit
	if (low.length !== text.length)
		return [text];
	for (let hit = low.indexOf(needle); hit >= 0 && parts.length < 100; hit = low.indexOf(needle, at)) {
		parts.push(text.slice(at, hit), h('mark', text.slice(hit, hit + needle.length)));
		at = hit + needle.length;
	}
	parts.push(text.slice(at));
	return parts;
}

const two = number => String(number).padStart(2, '0');

/** The time of day, local, with milliseconds. */
export function clock(timestamp) {
	const date = new Date(timestamp);
	return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** The day, local, as 2026-11-22. */
export function day(timestamp) {
	const date = new Date(timestamp);
	return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Day and time to the second, local. */
export function moment(timestamp) {
	return timestamp ? `${day(timestamp)} ${clock(timestamp).slice(0, 8)}` : '';
}

/** How long ago; exact times are in titles. */
export function ago(timestamp) {
	const seconds = (Date.now() - new Date(timestamp)) / 1000;
	if (seconds < 10)
		return 'now';
	if (seconds < 60)
		return `${Math.floor(seconds)} s ago`;
	if (seconds < 3600)
		return `${Math.floor(seconds / 60)} min ago`;
	if (seconds < 86400)
		return `${Math.floor(seconds / 3600)} h ago`;
	return moment(timestamp).slice(0, 16);
}

/** A length of time given in seconds. */
export function duration(seconds) {
	if (seconds === null || seconds === undefined || Number.isNaN(seconds))
		return '';
	if (seconds < 1)
		return `${Math.round(seconds * 1000)} ms`;
	if (seconds < 60)
		return `${seconds.toFixed(1)} s`;
	const whole = Math.floor(seconds);
	if (whole < 3600)
		return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
	if (whole < 172800)
		return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
	return `${Math.floor(whole / 86400)} days`;
}

/** From one time to another, in seconds. */
export const between = (from, to) => (new Date(to) - new Date(from)) / 1000;

const grouped = new Intl.NumberFormat('en');
export const count = number => grouped.format(number);
export const many = (number, word) => `${count(number)} ${word}${number === 1 ? '' : 's'}`;

/** The word and sign of a status; the sign is for those who do not see colours. */
const signs = {
	NEW: '○', PENDING: '○', RUNNING: '▶', PAUSED: '‖', WAITING_FOR_HUMAN: '?',
	SUCCESS: '✓', FAILED: '✕', CANCELLED: '⊘', running: '▶', completed: '✓', failed: '✕',
};

export function statusMark(status) {
	const word = status ? status.toLowerCase().replaceAll('_', ' ') : 'not registered';
	return h('span.status', { 'data-status': status ?? 'NONE' },
		h('span.sign', { 'aria-hidden': 'true' }, signs[status] ?? '·'), ' ', word);
}

/** A bar of progress in percent; indeterminate ones are not shown. */
export function progressBar(percent, status, label = 'Progress') {
	const value = Math.max(0, Math.min(100, Number(percent)));
	return h('div.progress', {
		role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100,
		'aria-valuenow': Math.round(value), 'data-status': status,
	}, h('div.progress-done', { style: { width: `${value}%` } }));
}

/** Say something to those who listen instead of looking; sparingly. */
export function say(text) {
	document.getElementById('said').textContent = text;
}

/** The address within the page of an execution or workflow. */
export const executionLink = (id, parameters = {}) => link('e', id, parameters);
export const workflowLink = (id, parameters = {}) => link('w', id, parameters);

function link(kind, id, parameters) {
	const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value)).toString();
	return `#/${kind}/${encodeURIComponent(id)}${query ? `?${query}` : ''}`;
}
