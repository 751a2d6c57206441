// A Stream holds one connection to the server for any number of views. It calls
// onupdate with each update of a view, and onstate with "live" or "lost".
export class Stream {
	constructor(address, onupdate, onstate) {
		this.address = address;
		this.onupdate = onupdate;
		this.onstate = onstate;
		this.views = null; // none, while the list's is ""
		this.delay = 500;
	}

	// show makes the stream follow these views, and no others.
	show(views) {
		const wanted = [...new Set(views)].sort();
		if (wanted.join("\n") === this.views) return;
		this.views = wanted.join("\n");
		this.open();
	}

	// reopen begins anew: every view is sent as a whole.
	reopen() {
		this.open();
	}

	open() {
		clearTimeout(this.timer);
		this.source?.close();
		this.source = null;
		const query = new URLSearchParams(this.views.split("\n").map(view => ["v", view]));
		const source = new EventSource(this.address + "?" + query);
		this.source = source;
		source.onopen = () => { this.delay = 500; this.onstate("live"); };
		source.onmessage = event => { for (const update of JSON.parse(event.data)) this.onupdate(update); };
		source.onerror = () => {
			this.onstate("lost");
			if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
			this.delay = Math.min(2 * this.delay, 15000);
			this.timer = setTimeout(() => this.open(), this.delay);
		};
	}

	close() {
		clearTimeout(this.timer);
		this.source?.close();
		this.source = null;
		this.views = null;
	}
}
