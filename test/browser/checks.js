// What a test asks of a page as it is shown.  A function body: returns {…}.

const visible = element => {
	const box = element.getBoundingClientRect();
	const style = getComputedStyle(element);
	return box.width > 1 && box.height > 1 && style.visibility !== 'hidden' && !element.closest('.hidden, .skip, [hidden], dialog:not([open])');
};
const parse = text => {
	const parts = text.match(/[\d.]+/g).map(Number);
	return { rgb: parts.slice(0, 3), alpha: parts[3] ?? 1 };
};
const light = rgb => {
	const [r, g, b] = rgb.map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = element => {
	for (let at = element; at; at = at.parentElement) {
		const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
		if (alpha === 1)
			return rgb;
	}
	return [255, 255, 255];
};
const contrast = element => {
	const [a, b] = [light(parse(getComputedStyle(element).color).rgb), light(ground(element))].sort((one, other) => other - one);
	return (a + 0.05) / (b + 0.05);
};
const ownText = element => [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE).map(node => node.data).join('').trim();
const describe = element => `${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''} "${(element.textContent ?? '').slice(0, 40)}"`;
const elements = [...document.body.querySelectorAll('*')].filter(visible);

return {
	faint: elements.filter(element => ownText(element) !== '' && !element.closest('svg') && contrast(element) < 4.5)
		.map(element => `${describe(element)} ${contrast(element).toFixed(2)}`),
	nameless: elements.filter(element => element.matches('button, input, select, textarea, a, summary') &&
		(element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent).trim() === '').map(describe),
	wide: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth,
};
