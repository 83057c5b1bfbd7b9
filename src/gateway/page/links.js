// Links to lines, and what goes into the clipboard.

import { executionLink, say } from './dom.js';

/** The address of a line, for others to open. */
export function linkToLine(execution, log) {
	return location.origin + location.pathname + executionLink(execution, { line: log.id });
}

/** Copy a text; a button says that it has been done. */
export async function copy(text, button) {
	let done = true;
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		// without https there is no clipboard, but the old way works
		const area = document.createElement('textarea');
		area.value = text;
		area.className = 'hidden';
		document.body.append(area);
		area.select();
		done = document.execCommand('copy');
		area.remove();
	}
	say(done ? 'Copied' : 'Could not be copied');
	if (!button)
		return;
	const label = button.textContent;
	button.textContent = done ? 'Copied' : 'Failed';
	setTimeout(() => { button.textContent = label; }, 1200);
}
