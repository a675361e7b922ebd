// Fetching pages and putting them in place of the one that is shown.

let running; // the request whose answer is wanted
const text = (name) => document.body.dataset[name];

// fetchPage returns the page at url as a document, or nothing when that did not work or
// is not wanted any more. With body it posts.
export async function fetchPage(url, { body, quiet } = {}) {
	if (!quiet) running?.abort();
	const abort = new AbortController();
	if (!quiet) running = abort;
	const line = document.getElementById('laddar');
	const content = document.getElementById('innehall');
	const late = quiet ? 0 : setTimeout(() => { line.hidden = false; }, 400);
	if (!quiet) content?.setAttribute('aria-busy', 'true');
	try {
		const answer = await fetch(url, {
			method: body ? 'POST' : 'GET', body, signal: abort.signal, credentials: 'same-origin', headers: { Accept: 'text/html' },
		});
		if (!answer.headers.get('Content-Type')?.startsWith('text/html')) throw new Error(answer.statusText);
		const doc = new DOMParser().parseFromString(await answer.text(), 'text/html');
		doc.address = answer.url;
		doc.failed = answer.status >= 500;
		return doc;
	} catch (error) {
		if (error.name !== 'AbortError' && !quiet) trouble(() => follow(url, { body, why: document.activeElement }), body);
		return undefined;
	} finally {
		clearTimeout(late);
		if (running === abort || quiet) {
			if (!quiet) {
				running = undefined;
				line.hidden = true;
			}
			document.getElementById('innehall')?.removeAttribute('aria-busy');
		}
	}
}

// follow goes to url: the page there is put in place, and the address with it.
export async function follow(url, { why, body, replace } = {}) {
	const doc = await fetchPage(url, { body });
	if (!doc) return;
	if (doc.failed && document.getElementById('innehall')) { // the list stays
		trouble(() => follow(url, { why, body, replace }), body);
		return;
	}
	if (!doc.getElementById('innehall')) { // a page of another kind
		if (!body) location.assign(url);
		else trouble(() => follow(url, { why, body }), body);
		return;
	}
	const row = why?.closest?.('.rad');
	const beside = row && [row.nextElementSibling, row.previousElementSibling].map((r) => r?.id).filter(Boolean);
	const day = row?.closest('section')?.getAttribute('aria-labelledby');
	const address = new URL(doc.address);
	address.hash = '';
	const samePage = address.pathname === location.pathname;
	history[replace || body ? 'replaceState' : 'pushState']({}, '', address);
	if (row && !matchMedia('(prefers-reduced-motion: reduce)').matches && body) {
		row.classList.add('bort-rad');
		await new Promise((done) => { setTimeout(done, 150); });
	}
	swap(doc);
	const toast = document.getElementById('klart');
	if (body && toast) {
		toast.next = [...(beside ?? []), day].filter(Boolean);
		(toast.querySelector('.angra') ?? toast.querySelector('.kryss')).focus({ preventScroll: true });
	} else if (!samePage) {
		scrollTo(0, 0);
		document.getElementById('danser')?.focus({ preventScroll: true });
	} else if (why?.closest?.('.mer-rad')) { // other rows: from their first one
		const heading = document.querySelector('#danser .dag > h2');
		if (heading) {
			heading.tabIndex = -1;
			heading.focus({ preventScroll: true });
			heading.closest('.dag').scrollIntoView();
		}
	} else if (why?.closest?.('.dagar')) {
		const strip = document.getElementById('dagar');
		if (strip && strip.getBoundingClientRect().top <= 0) document.getElementById('innehall').querySelector('.dag')?.scrollIntoView();
	}
}

// swap puts doc in place: what is open stays open, and what has the focus keeps it.
export function swap(doc) {
	const open = [...document.querySelectorAll('details[id][open]')].map((d) => d.id).filter((id) => !id.startsWith('m-'));
	const known = new Set([...document.querySelectorAll('details[id]')].map((d) => d.id));
	const focused = place(document.activeElement);
	const typed = document.getElementById('ny')?.value;
	for (const part of ['.topp', '#innehall']) {
		const next = doc.querySelector(part);
		if (next) document.querySelector(part)?.replaceWith(document.adoptNode(next));
	}
	document.title = doc.title;
	document.documentElement.lang = doc.documentElement.lang;
	for (const name of Object.keys(document.body.dataset)) if (!(name in doc.body.dataset)) delete document.body.dataset[name];
	Object.assign(document.body.dataset, doc.body.dataset);
	for (const d of document.querySelectorAll('details[id]')) if (known.has(d.id) && !d.id.startsWith('m-')) d.open = open.includes(d.id);
	const field = document.getElementById('ny');
	if (field && typed && !field.value && focused === '#ny') field.value = typed;
	if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
	document.dispatchEvent(new CustomEvent('swapped'));
}

// place returns a selector of an element that finds it again on the next page.
function place(element) {
	if (!element || element === document.body) return '';
	if (element.id) return `#${CSS.escape(element.id)}`;
	const within = element.closest('[id]');
	if (!within || within.id === 'sida') return '';
	if (element.closest('.perioder, .vyer')) return `[href="${CSS.escape(element.getAttribute('href'))}"]`;
	return `#${CSS.escape(within.id)} ${element.localName}`;
}

// focusAfter takes a message away and gives the focus to what comes next.
export function focusAfter(toast) {
	const next = toast.next ?? [];
	toast.remove();
	for (const id of next) {
		const element = document.getElementById(id);
		const target = element?.querySelector('summary') ?? element;
		if (!target) continue;
		if (target.localName === 'h2') target.tabIndex = -1;
		target.focus();
		return;
	}
	document.getElementById('danser')?.focus({ preventScroll: true });
}

// trouble says that something did not work, and offers to try again.
function trouble(again, posted) {
	const offline = !navigator.onLine && text('shown');
	notice(offline ? text('tOffline').replace('{t}', text('shown')) : posted ? text('tNotSaved') : text('tFailed'), text('tAgain'), again, true);
}

// notice shows a message with one button at the bottom.
export function notice(message, button, press, bad) {
	const box = document.getElementById('live');
	const toast = document.createElement('div');
	toast.className = bad ? 'toast fel' : 'toast';
	toast.setAttribute('role', bad ? 'alert' : 'status');
	const p = document.createElement('p');
	const b = document.createElement('b');
	b.textContent = message;
	p.append(b);
	const go = document.createElement('button');
	go.type = 'button';
	go.className = 'visa';
	go.textContent = button;
	go.addEventListener('click', () => {
		box.replaceChildren();
		press();
	});
	const close = document.createElement('button');
	close.type = 'button';
	close.className = 'kryss';
	close.setAttribute('aria-label', text('tClose'));
	close.textContent = '×';
	close.addEventListener('click', () => box.replaceChildren());
	toast.append(p, go, close);
	box.replaceChildren(toast);
	toast.classList.toggle('under', Boolean(document.getElementById('klart')));
}
