// The page without reloads: what is pressed is fetched, the very page that the server
// would have sent, and what differs is put in place. Without this everything works, too.

import { fetchPage, swap, follow, focusAfter } from './swap.js';
import { live } from './live.js';
import { menus } from './menus.js';
import { enhance } from './enhance.js';

document.documentElement.classList.add('js');
menus();
enhance();
live();

const ours = (url) => url.origin === location.origin && ['/', '/karta'].includes(url.pathname);

document.addEventListener('click', (event) => {
	const link = event.target.closest?.('a[href]');
	if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
	const url = new URL(link.href?.baseVal ?? link.href, location.href);
	if (!ours(url) || !document.getElementById('innehall') || link.hash && link.getAttribute('href').startsWith('#')) return;
	if (link.classList.contains('kryss') && link.closest('.toast')) {
		event.preventDefault();
		focusAfter(link.closest('.toast'));
		return;
	}
	event.preventDefault();
	follow(url, { why: link });
});

document.addEventListener('submit', (event) => {
	const form = event.target;
	const url = new URL(form.action);
	if (url.origin !== location.origin || !document.getElementById('innehall')) return;
	const body = new URLSearchParams(new FormData(form, event.submitter));
	if (form.method === 'get') {
		if (!ours(url)) return;
		event.preventDefault();
		if (form.id === 'sok') document.getElementById('andra')?.removeAttribute('open');
		url.search = body;
		follow(url, { why: form });
		return;
	}
	if (!['/dolj', '/visa', '/hemort'].includes(url.pathname)) return;
	event.preventDefault();
	follow(url, { why: event.submitter ?? form, body });
});

// A change of the filter is looked for at once. On a narrow screen the form stays open,
// and its button says how many dances there are.
document.addEventListener('change', (event) => {
	const form = event.target.form;
	if (form?.id !== 'sok') return;
	const url = new URL(form.action);
	url.search = new URLSearchParams(new FormData(form));
	follow(url, { why: event.target, replace: true });
});

addEventListener('popstate', async () => {
	const doc = await fetchPage(location.href);
	if (doc) swap(doc);
});
