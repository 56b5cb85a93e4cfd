// A softphone in a page: JsSIP over the service's WebSocket, a tone for a microphone, an ear that tells which tone it hears.
import JsSIP from "jssip";

// JsSIP's Socket, with the session's token as a subprotocol beside `sip`: in no address, so in no log.
class SessionSocket {
  constructor(url, token) {
    const { protocol, host } = new URL(url);
    this.url = url;
    this.via_transport = protocol.slice(0, -1).toUpperCase();
    this.sip_uri = `sip:${host};transport=ws`;
    this.token = token;
    this.socket = null;
    this.told = [];
    this.heard = [];
  }

  connect() {
    if (this.socket !== null) this.disconnect();
    this.socket = new WebSocket(this.url, ["sip", `bearer.${this.token}`]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.onconnect();
    this.socket.onclose = ({ wasClean, code, reason }) => {
      this.socket = null;
      this.ondisconnect(!wasClean, code, reason);
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.heard.push(data);
      this.ondata(data);
    };
  }

  disconnect() {
    if (this.socket === null) return;
    for (const event of ["onopen", "onclose", "onmessage"]) this.socket[event] = null;
    this.socket.close();
    this.socket = null;
  }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.told.push(message);
    this.socket.send(message);
    return true;
  }
}

class Ear {
  constructor(context, stream) {
    this.player = new Audio(); // without one Chromium decodes nothing
    this.player.srcObject = stream;
    this.player.play();
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 4096;
    this.analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(stream).connect(this.analyser);
    this.levels = new Float32Array(this.analyser.frequencyBinCount);
    this.rate = context.sampleRate;
  }

  // {hz, db} of the loudest tone.
  hears() {
    this.analyser.getFloatFrequencyData(this.levels);
    let loudest = 0;
    for (let bin = 1; bin < this.levels.length; bin++) if (this.levels[bin] > this.levels[loudest]) loudest = bin;
    return { hz: (loudest * this.rate) / this.analyser.fftSize, db: this.levels[loudest] };
  }
}

class Phone {
  // `settings`: url, token, uri, login, realm, password or ha1; hz of its own tone; contact and instance, kept over a reload; answers: whatever
  // rings is answered. What is rung with `answer-after=0` is answered in any case.
  async start(settings) {
    this.context = new AudioContext();
    this.oscillator = this.context.createOscillator();
    this.oscillator.frequency.value = settings.hz;
    this.microphone = this.context.createMediaStreamDestination();
    this.oscillator.connect(this.microphone);
    this.oscillator.start();
    await this.context.resume();
    this.socket = new SessionSocket(settings.url, settings.token);
    this.calls = [];
    this.events = [];
    this.agent = new JsSIP.UA({
      sockets: [this.socket],
      uri: settings.uri,
      authorization_user: settings.login,
      realm: settings.realm,
      ...(settings.ha1 ? { ha1: settings.ha1 } : { password: settings.password }),
      ...(settings.contact ? { contact_uri: settings.contact } : {}),
      ...(settings.instance ? { instance_id: settings.instance } : {}),
      register_expires: 120,
      user_agent: "page of the tests",
    });
    for (const name of ["connected", "disconnected", "registered", "unregistered", "registrationFailed"])
      this.agent.on(name, (event) => this.events.push(event?.cause ? `${name}: ${event.cause}` : name));
    this.agent.on("newRTCSession", ({ session, request }) => {
      const call = new Call(this, session, request);
      this.calls.push(call);
      const answers = settings.answers || /;answer-after=0/.test(request.getHeader?.("Call-Info") ?? "");
      if (session.direction === "incoming" && answers) session.on("progress", () => call.answer());
    });
    this.agent.start();
  }

  get call() {
    return this.calls.at(-1);
  }

  get options() {
    return { mediaStream: this.microphone.stream, pcConfig: { iceServers: [], bundlePolicy: "max-bundle" } };
  }

  dial(number) {
    this.agent.call(`sip:${number}@${this.agent.configuration.uri.host}`, this.options);
  }
}

class Call {
  constructor(phone, session, request) {
    this.phone = phone;
    this.session = session;
    this.request = request;
    this.state = "new";
    this.held = "";
    this.told = [];
    this.keys = "";
    // With ICE-lite at the other end no candidate of ours is needed: the first is waited for, not the last.
    session.on("icecandidate", ({ ready }) => ready());
    for (const name of ["progress", "accepted", "confirmed", "ended", "failed"])
      session.on(name, (event) => {
        this.state = name;
        this.why = event.cause ?? "";
      });
    session.on("hold", ({ originator }) => (this.held += originator === "local" ? "l" : "r"));
    session.on("unhold", ({ originator }) => (this.held = this.held.replace(originator === "local" ? "l" : "r", "")));
    session.on("newDTMF", ({ originator, dtmf }) => (this.keys += originator === "remote" ? dtmf.tone : ""));
    if (session.connection) this.watch(session.connection);
    session.on("peerconnection", ({ peerconnection }) => this.watch(peerconnection));
  }

  watch(connection) {
    this.connection = connection;
    connection.addEventListener("track", ({ streams, track }) => {
      this.ear = new Ear(this.phone.context, streams[0] ?? new MediaStream([track]));
    });
  }

  answer() {
    this.session.answer(this.phone.options);
  }

  hears() {
    return this.ear ? this.ear.hears() : { hz: 0, db: -Infinity };
  }

  press(keys) {
    this.session.sendDTMF(keys, { transportType: "RFC2833", duration: 100, interToneGap: 100 });
  }

  refer(target) {
    this.session.refer(target, {
      eventHandlers: Object.fromEntries(
        ["trying", "progress", "accepted", "failed", "requestSucceeded", "requestFailed"].map((name) => [name, () => this.told.push(name)]),
      ),
    });
  }

  restart() {
    return this.session.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
  }

  // What of the stream came and went: packets each way, the codec it speaks, the state of the connection.
  async figures() {
    const found = { state: this.connection.connectionState, ice: this.connection.iceConnectionState, sent: 0, received: 0, lost: 0, codec: "" };
    const reports = await this.connection.getStats();
    for (const report of reports.values()) {
      if (report.type === "outbound-rtp") {
        found.sent = report.packetsSent;
        found.codec = reports.get(report.codecId)?.mimeType ?? "";
      }
      if (report.type === "inbound-rtp") Object.assign(found, { received: report.packetsReceived, lost: report.packetsLost });
    }
    return found;
  }
}

window.phone = new Phone();
