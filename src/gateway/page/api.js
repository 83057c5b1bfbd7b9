// Requests, who makes them, and what to do about their failures.

const KEY = 'wflog-token';
const WHO = 'wflog-who';	// of a session, whose token says nothing: {sub, exp}

const app = '/api/v1/app';

/** What went wrong, from a problem document; status 0: the gateway was not reached. */
export class Problem extends Error {
	constructor(status, detail, retryAfter) {
		super(detail);
		this.status = status;
		this.retryAfter = retryAfter;
	}

	/** May it go by itself? */
	get passes() {
		return [0, 408, 429, 502, 503, 504].includes(this.status);
	}
}

let token = sessionStorage.getItem(KEY);
let asking = null;
let arriving = null;
let ask = async () => { };

/** Who asks for tokens: a function of why, which ends when there is another. */
export function askWith(dialog) {
	ask = dialog;
}

export function setToken(text, who = null) {
	token = text.trim().replace(/^Bearer\s+/i, '');
	sessionStorage.setItem(KEY, token);
	if (who)
		sessionStorage.setItem(WHO, JSON.stringify(who));
	else
		sessionStorage.removeItem(WHO);
}

/* Exchange the ticket of a link for a session; if it is not good any more, for a token that is asked for. */
async function takeTicket(ticket) {
	let why;
	try {
		const response = await fetch(`${app}/sessions`, { method: 'POST', headers: { 'Content-Type': 'application/json' },
			body: JSON.stringify({ ticket }), credentials: 'omit' });
		if (response.ok) {
			const session = await response.json();
			setToken(session.token, { sub: session.sub, exp: Date.now() / 1000 + session.expires_in });
			return;
		}
		why = (await problemOf(response)).message;
	} catch {
		why = 'The gateway cannot be reached.';
	}
	// it may have been taken in this very tab, and the session still be good
	if (!token)
		await needToken(why);
}

/**
 * A token in the fragment (#token=…) is taken, and out of the address; so is the ticket
 * of a link (#ticket=…), for which requests wait until it has been exchanged.
 */
export function tokenFromAddress() {
	const match = /[#&?](token|ticket)=([^&]+)/.exec(location.hash);
	if (!match)
		return null;
	const text = decodeURIComponent(match[2]);
	if (match[1] === 'token')
		setToken(text);
	else
		arriving = takeTicket(text).finally(() => { arriving = null; });
	let rest = location.hash.slice(0, match.index + 1) + location.hash.slice(match.index + match[0].length);
	rest = rest.replace(/[&?#]+$/, '').replace(/^#&/, '#').replace(/\?&/, '?');
	history.replaceState(null, '', location.pathname + location.search + (rest || '#/'));
	return arriving;
}

/** The claims of the token, not verified: only for showing who one is. */
export function claims() {
	try {
		const who = sessionStorage.getItem(WHO);
		if (who)
			return JSON.parse(who);
		const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
		const bytes = Uint8Array.from(atob(part), character => character.charCodeAt(0));
		return JSON.parse(new TextDecoder().decode(bytes));
	} catch {
		return null;
	}
}

/** Have another token given; those who ask at once wait for the same one. */
export function needToken(why) {
	asking ??= ask(why).finally(() => { asking = null; });
	return asking;
}

async function problemOf(response) {
	let detail = response.statusText || `status ${response.status}`;
	try {
		detail = (await response.json()).detail ?? detail;
	} catch { /* not a problem document: a proxy's page, say */ }
	return new Problem(response.status, detail, Number(response.headers.get('Retry-After')) || null);
}

/** A response that is not an error; a token is asked for as often as it takes. */
export async function request(path, { parameters = {}, headers = {}, signal } = {}) {
	const query = new URLSearchParams(Object.entries(parameters)
		.filter(([, value]) => value !== null && value !== undefined && value !== '')).toString();
	for (;;) {
		if (arriving)
			await arriving;
		if (!token)
			await needToken(null);
		signal?.throwIfAborted();
		const used = token;
		let response;
		try {
			response = await fetch(path + (query ? `?${query}` : ''),
				{ headers: { ...headers, Authorization: `Bearer ${used}` }, signal, credentials: 'omit' });
		} catch (error) {
			if (error.name === 'AbortError')
				throw error;
			throw new Problem(0, 'The gateway cannot be reached.');
		}
		if (response.ok)
			return response;
		const problem = await problemOf(response);
		if (problem.status !== 401)
			throw problem;
		if (used === token)
			await needToken(problem.message);
	}
}

/** The JSON at an address. */
export async function get(path, parameters, signal) {
	const response = await request(path, { parameters, signal });
	try {
		return await response.json();
	} catch (error) {
		if (error.name === 'AbortError')
			throw error;
		throw new Problem(0, 'The answer broke off.');
	}
}

/** Wait; rejects when the signal is given. */
export function pause(milliseconds, signal) {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(resolve, milliseconds);
		signal?.addEventListener('abort', () => {
			clearTimeout(timer);
			reject(signal.reason);
		}, { once: true });
	});
}

/** How long to wait before try number n (from 0), in milliseconds: longer each time, and not all at once. */
export const backoff = n => Math.min(10000, 500 * 2 ** n) * (0.75 + Math.random() / 2);

/** As get, but what may go by itself is waited for; waiting(problem) is told, and null when it went. */
export async function getPatiently(path, parameters, signal, waiting) {
	for (let tries = 0; ; tries++) {
		try {
			const answer = await get(path, parameters, signal);
			if (tries > 0)
				waiting?.(null);
			return answer;
		} catch (problem) {
			if (!problem.passes)
				throw problem;
			waiting?.(problem);
			await pause(problem.retryAfter ? problem.retryAfter * 1000 : backoff(tries), signal);
		}
	}
}

export const paths = {
	executions: `${app}/executions`,
	execution: id => `${app}/executions/${encodeURIComponent(id)}`,
	logs: id => `${app}/executions/${encodeURIComponent(id)}/logs`,
	summary: id => `${app}/executions/${encodeURIComponent(id)}/logs/summary`,
	stream: id => `${app}/executions/${encodeURIComponent(id)}/logs/stream`,
	workflowSummary: id => `${app}/workflows/${encodeURIComponent(id)}/summary`,
};
