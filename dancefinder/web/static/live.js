// Live update: the server says that something has changed, the page is fetched, and what
// is new waits behind a button, so that nothing moves under a finger. Names that had not
// been known, and are now, are put in place, as they take no more room.

import { fetchPage, swap, notice } from './swap.js';

const again = 2000; // between looks at a page that is not up to date
const apart = 1500; // between two looks at least
let source, address, last = 0, timer = 0;

export function live() {
	connect();
	shown();
	watch();
	document.addEventListener('swapped', () => {
		document.getElementById('live').replaceChildren();
		connect();
		shown();
		watch();
	});
	document.addEventListener('visibilitychange', () => { if (!document.hidden) connect(); });
}

function shown() {
	const now = new Date();
	const two = (n) => String(n).padStart(2, '0');
	document.body.dataset.shown = document.body.dataset.clock.replace('00', two(now.getHours())).replace(/00$/, two(now.getMinutes()));
}

function connect() {
	const url = document.body.dataset.live;
	if (url === address && source && source.readyState !== EventSource.CLOSED) return;
	source?.close();
	address = url;
	source = undefined;
	if (!url) return;
	source = new EventSource(url);
	source.addEventListener('change', () => look());
	source.addEventListener('ready', () => document.body.setAttribute('data-connected', ''));
	source.addEventListener('error', () => document.body.removeAttribute('data-connected'));
}

// A page that says itself that it is late is looked at until it is not.
function watch() {
	clearTimeout(timer);
	timer = 0;
	if (document.querySelector('.okand, #banner')) timer = setTimeout(look, again);
}

const ids = (doc) => [...doc.querySelectorAll('.rad')].map((row) => row.dataset.id);
const words = (doc) => [...doc.querySelectorAll('.rad')].map((row) => row.textContent.replace(/\s+/g, ' ')).join('\n');

async function look() {
	clearTimeout(timer);
	const wait = last + apart - Date.now();
	if (wait > 0 || document.hidden) {
		timer = setTimeout(look, Math.max(wait, 200));
		return;
	}
	last = Date.now();
	const doc = await fetchPage(location.href, { quiet: true });
	if (!doc || !doc.getElementById('innehall') || doc.address.split('#')[0] !== location.href.split('#')[0]) {
		watch();
		return;
	}
	const before = ids(document), after = ids(doc);
	if (before.join() === after.join()) {
		patch(doc);
		watch();
		return;
	}
	const t = document.body.dataset;
	const fresh = after.filter((id) => !before.includes(id)).length;
	const message = fresh === 1 ? t.tNew1 : fresh > 1 ? t.tNewN.replace('{n}', fresh) : t.tChanged;
	notice(message, t.tShow, () => swap(doc));
}

// patch puts the same dances' texts in place, where they differ, and the banner.
function patch(doc) {
	if (words(document) !== words(doc)) {
		for (const row of doc.querySelectorAll('.rad')) {
			const old = document.getElementById(row.id);
			if (!old || old.querySelector('details[open]') || old.contains(document.activeElement)) continue;
			if (old.textContent !== row.textContent) old.replaceWith(document.adoptNode(row.cloneNode(true)));
		}
	}
	const now = document.querySelector('#banner'), next = doc.querySelector('#banner');
	if (now && !next) now.remove(); // the list is up to date: what is above it may go
	else if (now && next) now.replaceWith(document.adoptNode(next));
	else if (next) late(next);
	else document.querySelector('.andra-rad')?.replaceWith(document.adoptNode(doc.querySelector('.andra-rad')));
}

// late says in the head's second line that the list is late now: a banner would move it.
function late(banner) {
	for (const line of document.querySelectorAll('.andra-rad, .under')) line.textContent = banner.querySelector('b').textContent;
}
