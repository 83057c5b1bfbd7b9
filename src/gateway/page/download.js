// Lines as a file: those shown, or all that match, made here from what is loaded.

import { h } from './dom.js';

const columns = ['timestamp', 'level', 'event_type', 'node_id', 'node_name', 'step_number', 'attempt', 'source', 'log_category', 'message', 'technical_message', 'data', 'id'];

function csvField(value) {
	if (value === undefined || value === null)
		return '';
	let text = typeof value === 'object' ? JSON.stringify(value) : String(value);
	// a spreadsheet must not take a log for a formula
	if (/^[=+\-@\t\r]/.test(text) && typeof value === 'string')
		text = `'${text}`;
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export const formats = {
	log: {
		label: 'Text', type: 'text/plain', of: log => `${log.timestamp} ${log.level.toUpperCase().padEnd(8)} ${log.node_name || log.node_id ? `[${log.node_name ?? log.node_id}] ` : ''}${log.technical_message ?? log.message}\n`,
	},
	ndjson: {
		label: 'JSON lines', type: 'application/x-ndjson', of: ({ whole, ...log }) => `${JSON.stringify(whole ?? log)}\n`,
	},
	csv: {
		label: 'CSV', type: 'text/csv', head: `${columns.join(',')}\r\n`, of: log => `${columns.map(name => csvField(log[name])).join(',')}\r\n`,
	},
};

/** Save logs as a file. */
export function download(execution, logs, name) {
	const format = formats[name];
	const parts = [];
	// in pieces: one string of everything could be too long for a string
	for (let at = 0; at < logs.length; at += 10000)
		parts.push(logs.slice(at, at + 10000).map(format.of).join(''));
	const url = URL.createObjectURL(new Blob([format.head ?? '', ...parts], { type: `${format.type};charset=utf-8` }));
	h('a', { href: url, download: `${execution.replace(/[^\w.-]+/g, '_').slice(0, 100)}.${name}` }).click();
	setTimeout(() => URL.revokeObjectURL(url), 10000);
}
