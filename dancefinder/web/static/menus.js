// Menus that are details: one is open at a time, arrows move in it, Esc closes it.

import { focusAfter } from './swap.js';

const open = () => document.querySelector('details.meny[open], details.mer[open]');

export function menus() {
	document.addEventListener('toggle', (event) => {
		const menu = event.target;
		if (!menu.matches?.('details.meny, details.mer') || !menu.open) return;
		for (const other of document.querySelectorAll('details.meny[open], details.mer[open]')) if (other !== menu) other.open = false;
		const box = menu.lastElementChild;
		box.classList.remove('upp');
		const room = box.getBoundingClientRect();
		if (room.bottom > innerHeight - 8 && menu.getBoundingClientRect().top > room.height + 104) box.classList.add('upp');
		else if (room.bottom > innerHeight - 8) box.scrollIntoView({ block: 'nearest' });
		stops(menu)[0]?.focus({ preventScroll: true });
	}, true);

	document.addEventListener('click', (event) => {
		const menu = open();
		if (menu && !menu.contains(event.target)) menu.open = false;
	});

	document.addEventListener('focusin', (event) => {
		const menu = open();
		if (menu && !menu.contains(event.target)) menu.open = false;
	});

	document.addEventListener('keydown', (event) => {
		const toast = event.target.closest?.('.toast');
		if (event.key === 'Escape' && toast) {
			event.preventDefault();
			focusAfter(toast);
			return;
		}
		const menu = open();
		if (!menu) return;
		const all = stops(menu), at = all.indexOf(document.activeElement);
		const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? all.length - 1 : at - 1, Home: 0, End: all.length - 1 }[event.key];
		if (event.key === 'Escape') {
			menu.open = false;
			menu.firstElementChild.focus();
		} else if (to === undefined || !menu.contains(document.activeElement)) {
			return;
		} else {
			all[(to + all.length) % all.length]?.focus();
		}
		event.preventDefault();
	});
}

const stops = (menu) => [...menu.lastElementChild.querySelectorAll('button, a')];
