// What script adds: live values in their places, and the filter while it is typed.
// Every page works without it.
document.documentElement.classList.add("js")

const sign = document.querySelector("#live")
document.querySelector(".top [aria-current]")?.scrollIntoView({block: "nearest", inline: "nearest"})
let busy = false, again = false, version = document.body.dataset.version
let ahead = Date.now() - Date.parse(document.body.dataset.now) // of the server's clock

// morph makes a node like another one, and keeps what is like it already: so the focus stays,
// and so does what somebody has opened or typed.
function morph(old, fresh) {
	if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
		old.replaceWith(fresh.cloneNode(true))
		return
	}
	if (old.nodeType !== Node.ELEMENT_NODE) {
		if (old.data !== fresh.data) old.data = fresh.data
		return
	}
	if (old.id === "live" || old.nodeName === "DIALOG") return
	for (const {name} of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name)
	for (const {name, value} of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
	if (old.nodeName === "PROGRESS") old.value = fresh.value
	const was = [...old.childNodes].filter((n) => n.nodeName !== "DIALOG"), is = [...fresh.childNodes]
	is.forEach((node, i) => i < was.length ? morph(was[i], node) : old.append(node.cloneNode(true)))
	was.slice(is.length).forEach((node) => node.remove())
}

// refresh asks for this page again and shows it, once at a time.
async function refresh() {
	if (busy) { again = true; return }
	busy = true
	try {
		const answer = await fetch(location.href, {headers: {Accept: "text/html"}})
		if (!answer.ok) throw new Error(answer.status)
		show(new DOMParser().parseFromString(await answer.text(), "text/html"))
	} catch { /* the stream says that there is no connection */ }
	busy = false
	if (again) { again = false; refresh() }
}

function show(fresh) {
	version = fresh.body.dataset.version
	ahead = Date.now() - Date.parse(fresh.body.dataset.now)
	document.title = fresh.title
	morph(document.querySelector("header nav"), fresh.querySelector("header nav"))
	morph(document.querySelector("main"), fresh.querySelector("main"))
}

// Ages go on counting.
setInterval(() => {
	for (const age of document.querySelectorAll("time[data-age]")) {
		const s = Math.max(0, Math.floor((Date.now() - ahead - Date.parse(age.dateTime)) / 1000))
		age.textContent = s < 120 ? `${s} s` : s < 7200 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`
	}
}, 1000)

const notLive = (last) => last ? `Not live since ${last}, trying again` : "Not live"

function say(text, live) {
	sign.classList.toggle("on", live)
	sign.lastElementChild.textContent = text
}

if (sign && !document.querySelector("[data-still]")) {
	let last = ""
	const stream = new EventSource("live")
	stream.addEventListener("look", (event) => {
		const look = JSON.parse(event.data)
		last = look.at
		look.old ? say(notLive(last), false) : say("Live " + look.at, true)
		if (look.version !== version && !document.hidden) refresh()
	})
	stream.addEventListener("error", () => say(notLive(last), false))
	addEventListener("pagehide", () => stream.close())
	addEventListener("pageshow", (event) => { if (event.persisted) location.reload() })
	document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh() })
}

// The filter, while it is typed.
let typed
document.addEventListener("input", (event) => {
	const form = event.target.closest("form[data-search]")
	if (!form) return
	clearTimeout(typed)
	typed = setTimeout(() => {
		const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value))
		history.replaceState(null, "", form.getAttribute("action") + (String(asked) && "?" + asked))
		refresh()
	}, 200)
})

// A question before something is done, in a dialog. Without script it is a page.
document.addEventListener("click", async (event) => {
	const link = event.target.closest("a[data-ask]")
	if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return
	event.preventDefault()
	let form
	try {
		const answer = await fetch(link.href, {headers: {Accept: "text/html"}})
		form = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("form.confirm")
	} catch { /* then the page itself says what is wrong */ }
	if (!form) { location.href = link.href; return }
	const dialog = document.createElement("dialog")
	dialog.setAttribute("aria-labelledby", "question")
	form.querySelector("h1").id = "question"
	dialog.append(form)
	document.body.append(dialog)
	dialog.addEventListener("close", () => { dialog.remove(); if (link.isConnected) link.focus() })
	dialog.querySelector(".ends a").addEventListener("click", (cancel) => { cancel.preventDefault(); dialog.close() })
	dialog.showModal()
	dialog.querySelector("#reason").focus()
})
