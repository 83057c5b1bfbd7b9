// The logs of an execution that have been loaded, and which of them are shown.

export const levels = ['debug', 'info', 'warning', 'error', 'critical'];

export const noFilter = () => ({ view: 'all', levels: new Set(levels), step: '', text: '', milestones: false });

export const isFiltering = filter => filter.view !== 'all' || filter.levels.size < levels.length ||
	filter.step !== '' || filter.text !== '' || filter.milestones;

/** What a log says in a view: to people, or as the program wrote it. */
export function messageOf(log, view) {
	return view === 'technical' ? log.technical_message ?? log.message : log.message;
}

/** A function that says whether a filter lets a log through. */
export function matcher(filter) {
	const text = filter.text.toLowerCase();
	const has = value => value !== undefined && value !== null && value.toLowerCase().includes(text);
	return log =>
		filter.levels.has(log.level) &&
		(filter.view === 'all' || (filter.view === 'business' ? log.log_category === 'business' || log.is_milestone : log.log_category !== 'business')) &&
		(!filter.milestones || log.is_milestone) &&
		(filter.step === '' || stepOf(log) === filter.step) &&
		(text === '' || has(log.message) || has(log.technical_message) || has(log.node_name) || has(log.node_id) || has(log.source));
}

/** Steps are told apart by node_id, or by name where there is none. */
export const stepOf = log => log.node_id ?? log.node_name ?? '';

export class Store {
	logs = [];
	shown = [];
	filter = noFilter();
	complete = false;			// everything from the first log on is here
	total = null;				// of the execution, as far as known
	counts = Object.fromEntries(levels.map(level => [level, 0]));
	#ids = new Set();
	#matches = () => true;

	#new(batch) {
		return batch.filter(log => {
			if (this.#ids.has(log.id))
				return false;
			this.#ids.add(log.id);
			if (log.level in this.counts)
				this.counts[log.level]++;
			return true;
		});
	}

	/** Logs behind those that are here; returns how many are shown more. */
	append(batch) {
		const fresh = this.#new(batch);
		const shown = fresh.filter(this.#matches);
		for (const log of fresh)
			this.logs.push(log);
		if (this.shown !== this.logs)
			for (const log of shown)
				this.shown.push(log);
		return { fresh, shown: shown.length };
	}

	/** Logs in front of those that are here. */
	prepend(batch) {
		const fresh = this.#new(batch);
		const shown = fresh.filter(this.#matches);
		const same = this.shown === this.logs;
		this.logs = fresh.concat(this.logs);
		this.shown = same ? this.logs : shown.concat(this.shown);
		return { fresh, shown: shown.length };
	}

	setFilter(filter) {
		this.filter = filter;
		this.#matches = isFiltering(filter) ? matcher(filter) : () => true;
		this.shown = isFiltering(filter) ? this.logs.filter(this.#matches) : this.logs;
	}

	has(id) {
		return this.#ids.has(id);
	}
}
