// Small things: the slider says its kilometres, places are suggested, the chosen day is
// in view, messages go away by themselves.

const kms = [10, 15, 25, 35, 50, 60, 75, 85, 100, 125, 150, 175, 200, 250, 300, 350, 400];
let timer = 0, asked = '';

export function enhance() {
	document.addEventListener('input', (event) => {
		if (event.target.id === 'steg') slider(event.target);
		if (event.target.id === 'ny') suggest(event.target);
	});
	// What is within a chosen area is not chosen besides it.
	document.addEventListener('change', (event) => {
		const box = event.target;
		if (!box.checked || !box.closest('.omraden')) return;
		const item = box.closest('li');
		for (const inner of item.querySelectorAll(':scope li input')) inner.checked = false;
		for (let up = item.parentElement.closest('li'); up; up = up.parentElement.closest('li')) up.querySelector('input').checked = false;
	}, true);
	document.addEventListener('click', async (event) => {
		const button = event.target.closest?.('[data-copy]');
		if (!button) return;
		const field = document.getElementById(button.dataset.copy);
		field.select();
		await navigator.clipboard?.writeText(field.value);
		button.textContent = button.dataset.done;
	});
	document.addEventListener('swapped', fresh);
	fresh();
}

function fresh() {
	const range = document.getElementById('steg');
	if (range) slider(range);
	for (const box of document.querySelectorAll('.delvis input')) box.indeterminate = true;
	for (const button of document.querySelectorAll('[data-copy]')) button.hidden = false;
	const day = document.querySelector('.dagar.lang [aria-current]');
	if (day) {
		const strip = day.closest('.dagar');
		strip.scrollLeft = day.offsetLeft - (strip.clientWidth - day.clientWidth) / 2;
	}
	const toast = document.querySelector('#klart');
	if (toast) leave(toast);
}

function slider(range) {
	const km = `${kms[range.value]} km`;
	range.setAttribute('aria-valuetext', km);
	range.style.setProperty('--fill', `${(range.value / range.max) * 100}%`);
	if (range.dataset.moved || range.value !== range.defaultValue) {
		range.dataset.moved = '1';
		document.getElementById('inom-km').textContent = km;
	}
}

// leave takes a message away after 20 seconds, but not while it is looked at.
function leave(toast) {
	let left = setTimeout(go, 20000);
	function go() {
		if (toast.matches(':hover, :focus-within')) left = setTimeout(go, 5000);
		else toast.remove();
	}
	document.addEventListener('swapped', () => clearTimeout(left), { once: true });
}

function suggest(field) {
	clearTimeout(timer);
	const text = field.value.trim();
	if (text.length < 2 || text === asked) return;
	timer = setTimeout(async () => {
		asked = text;
		const answer = await fetch(`/orter?q=${encodeURIComponent(text)}`).catch(() => undefined);
		if (!answer?.ok || field.value.trim() !== text) return;
		document.getElementById('orter')?.replaceChildren(...(await answer.json()).map((name) => {
			const option = document.createElement('option');
			option.value = name;
			return option;
		}));
	}, 120);
}
