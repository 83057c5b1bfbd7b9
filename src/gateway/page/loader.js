// Getting an execution: its end first, then what is before, and what comes.
//
// Pages are read backward from the end; the first page's stream_cursor is where
// the stream goes on.  A log that is committed late can be in an earlier page
// and in the stream; the store takes it once.

import { get, getPatiently, paths } from './api.js';
import { follow } from './stream.js';

/* So many logs are loaded without being asked for; more on demand. */
export const AUTOMATIC = 100000;
const PAGE = 1000;

/**
 * Load an execution into a store and follow it.  told.first(execution, summary),
 * told.older(result), told.newer(result), told.waiting(problem), told.state(name, detail).
 * Returns {more(), until(id), refresh()}.
 */
export async function load(id, store, signal, told) {
	const quiet = error => {
		if (!signal.aborted)
			throw error;
	};
	const [execution, page, summary] = await Promise.all([
		getPatiently(paths.execution(id), {}, signal, told.waiting),
		getPatiently(paths.logs(id), { from_end: true, limit: PAGE }, signal, told.waiting),
		getPatiently(paths.summary(id), {}, signal, told.waiting),
	]);
	let before = page.pagination.prev_cursor;
	let allowed = AUTOMATIC;
	let wanted = null;
	let loading = null;

	store.total = page.total_count;
	store.complete = before === null;
	const first = store.append(page.logs);
	told.first(execution, summary, first);

	/* Go on backward until enough is there. */
	async function older() {
		while (before !== null && (store.logs.length < allowed || (wanted && !store.has(wanted)))) {
			const next = await getPatiently(paths.logs(id), { before, limit: PAGE, with_total: false }, signal, told.waiting);
			before = next.pagination.prev_cursor;
			store.complete = before === null;
			told.older(store.prepend(next.logs));
		}
		told.loaded();
	}
	const start = () => {
		loading ??= older().catch(error => {
			if (!signal.aborted)
				told.failed(error);
		}).finally(() => { loading = null; });
		return loading;
	};

	start();
	follow(paths.stream(id), page.pagination.stream_cursor, signal, {
		state: told.state,
		events: logs => {
			const result = store.append(logs);
			store.total += result.fresh.length;
			told.newer(result);
		},
	}).catch(quiet);

	return {
		more() {
			allowed = store.logs.length + AUTOMATIC;
			return start();
		},
		until(line) {
			wanted = line;
			return store.has(line) ? null : start();
		},
		refresh: () => Promise.all([get(paths.execution(id), {}, signal), get(paths.summary(id), {}, signal)]),
	};
}

/** What a page of logs leaves out of one of them: stack trace, details, metrics. */
export async function details(id, log, signal) {
	let after = null;
	do {
		const page = await get(paths.logs(id), {
			start_time: log.timestamp, end_time: log.timestamp, detail: true, with_total: false, limit: 100, after,
		}, signal);
		const found = page.logs.find(one => one.id === log.id);
		if (found)
			return found;
		after = page.pagination.has_more ? page.pagination.next_cursor : null;
	} while (after);
	return null;
}
