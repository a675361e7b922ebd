"use strict";

// Mounts GraphiQL on the page, with a fetcher that speaks the server-sent events of the
// endpoint as well.
(function () {
  const element = document.getElementById("graphiql");
  const endpoint = element.dataset.endpoint;

  function isSubscription(params, options) {
    const definitions = (options && options.documentAST && options.documentAST.definitions) || [];
    return definitions.some(function (d) {
      return d.operation === "subscription" && (!params.operationName || d.name && d.name.value === params.operationName);
    });
  }

  // The answers of a subscription, as they come.
  async function* stream(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (;;) {
        const part = await reader.read();
        if (part.done) return;
        const events = (rest + part.value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          if (event.startsWith("event: complete")) return;
          const data = event.split("\n").find(function (line) { return line.startsWith("data: "); });
          if (data) yield JSON.parse(data.slice("data: ".length));
        }
      }
    } finally {
      reader.cancel();
    }
  }

  async function fetcher(params, options) {
    const live = isSubscription(params, options);
    const response = await fetch(endpoint, {
      method: "POST",
      credentials: "same-origin",
      headers: Object.assign(
        { "Content-Type": "application/json", Accept: live ? "text/event-stream" : "application/json" },
        options && options.headers,
      ),
      body: JSON.stringify(params),
    });
    return live && response.ok ? stream(response) : response.json();
  }

  element.textContent = "";
  ReactDOM.createRoot(element).render(React.createElement(GraphiQL, {
    fetcher: fetcher,
    defaultQuery: "# Dances of a month, the first ten.\n{\n  events(filter: {from: \"2026-07-01\", to: \"2026-07-31\"}, first: 10) {\n    totalCount\n    nodes {\n      date\n      startTime\n      band {\n        name\n      }\n      danceHall {\n        name\n        city\n      }\n    }\n  }\n}\n",
  }));
})();
