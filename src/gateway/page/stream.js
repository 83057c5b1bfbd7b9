// A stream of events that goes on by itself, read by fetch: EventSource neither
// sends a token in a header nor tells what status it was refused with.
//
// Each event has an id, which is the cursor to go on from.  It is taken over
// together with the event, so nothing is lost and nothing comes twice however
// often the connection breaks.

import { request, pause, backoff, Problem } from './api.js';

/* A connection on which not even a heartbeat (15 s) has come for so long is dead. */
const SILENT = 60000;

/** Take what server-sent events a text has: the rest of an unfinished one stays in the parser. */
export class EventParser {
	rest = '';
	retry = null;

	/** The events in a piece of the stream: [{id, data}] */
	take(text) {
		const blocks = (this.rest + text).split('\n\n');
		this.rest = blocks.pop();
		const events = [];
		for (const block of blocks) {
			let id = null;
			const data = [];
			for (const line of block.split('\n')) {
				const colon = line.indexOf(':');
				const value = line.slice(colon + 1).replace(/^ /, '');
				switch (line.slice(0, colon)) {
					case 'id': id = value; break;
					case 'data': data.push(value); break;
					case 'retry': this.retry = Number(value) || null; break;
				}
			}
			if (data.length > 0)
				events.push({ id, data: JSON.parse(data.join('\n')) });
		}
		return events;
	}
}

/**
 * Follow an execution from a cursor to its end.
 *
 * told.events(list) gets what comes, told.state(name, detail) how it stands:
 * connecting, live, waiting (detail: {problem, until, now}), ended (detail: CompletionData,
 * or null), refused (detail: a Problem).  Returns when it has ended, was refused or aborted.
 */
export async function follow(path, cursor, signal, told) {
	let id = null;
	let tries = 0;
	for (;;) {
		let problem;
		const parser = new EventParser();
		const silence = new AbortController();
		let timer = null;
		const alive = () => {
			clearTimeout(timer);
			timer = setTimeout(() => silence.abort(), SILENT);
		};
		const stop = () => silence.abort();
		signal.addEventListener('abort', stop, { once: true });
		try {
			told.state('connecting');
			alive();
			const response = await request(path, {
				signal: silence.signal,
				parameters: id ? {} : { after: cursor },
				headers: id ? { 'Last-Event-ID': id } : {},
			});
			if (response.status === 204) {
				told.state('ended', null);
				return;
			}
			told.state('live');
			const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
			for (;;) {
				const { done, value } = await reader.read();
				if (done)
					break;
				alive();
				tries = 0;
				const events = parser.take(value);
				if (events.length === 0)
					continue;
				id = events.at(-1).id ?? id;
				const logs = events.filter(event => event.data.event_type === 'LOG').map(event => event.data.data);
				if (logs.length > 0)
					told.events(logs);
				const last = events.at(-1).data;
				if (last.event_type === 'COMPLETE') {
					told.state('ended', last.data);
					return;
				}
				if (last.event_type === 'ERROR' && last.is_final)
					throw errorOf(last.data);
			}
			problem = new Problem(0, 'The connection was closed.');
		} catch (error) {
			if (signal.aborted)
				return;
			problem = error instanceof Problem ? error : new Problem(0, 'The connection broke off.');
		} finally {
			clearTimeout(timer);
			signal.removeEventListener('abort', stop);
		}
		// an expired token: asking for the stream again asks for another one
		if (problem.status === 401)
			continue;
		if (!problem.passes) {
			told.state('refused', problem);
			return;
		}
		const wait = problem.retryAfter ? problem.retryAfter * 1000 : tries === 0 ? parser.retry ?? backoff(1) : backoff(tries);
		tries++;
		const now = new AbortController();
		const wake = () => now.abort();
		signal.addEventListener('abort', wake, { once: true });
		addEventListener('online', wake, { once: true });
		told.state('waiting', { problem, until: Date.now() + wait, now: wake });
		await pause(wait, now.signal).catch(() => { });
		signal.removeEventListener('abort', wake);
		removeEventListener('online', wake);
		if (signal.aborted)
			return;
	}
}

/* What ended the stream, as the status it would have had as an answer. */
function errorOf(data) {
	const status = { token_expired: 401, not_found: 404, gap: 410, bad_cursor: 422, forbidden: 403 }[data.error_type] ?? 0;
	return new Problem(status, data.error);
}
