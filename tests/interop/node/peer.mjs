// Another implementation than ours, for the tests: werift's SRTP, and its WebRTC peer. Orders come as lines of JSON on standard input;
// each is answered by a line with its id, and what happens of itself is told in lines with an `event`. It ends with its input.
import { createInterface } from "node:readline";
import {
  MediaStreamTrack, RTCPeerConnection, RtpPacket, SrtcpSession, SrtpSession, usePCMA,
} from "werift";

const FRAME_MS = 20;
const SALT_AT = 16;
const PROFILES = { AES_CM_128_HMAC_SHA1_80: 1, AEAD_AES_128_GCM: 7 };

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const octets = (text) => Buffer.from(text, "hex");

let rtp, rtcp;
let page, track;
let number = 0;

const orders = {
  // SRTP under the given keys: key and salt in one, as hexadecimal.
  keys({ suite, local, remote }) {
    const keys = {
      localMasterKey: octets(local).subarray(0, SALT_AT),
      localMasterSalt: octets(local).subarray(SALT_AT),
      remoteMasterKey: octets(remote).subarray(0, SALT_AT),
      remoteMasterSalt: octets(remote).subarray(SALT_AT),
    };
    rtp = new SrtpSession({ keys, profile: PROFILES[suite] });
    rtcp = new SrtcpSession({ keys, profile: PROFILES[suite] });
  },
  protect_rtp({ packets }) {
    return packets.map((packet) => {
      const { payload, header } = RtpPacket.deSerialize(octets(packet));
      return rtp.encrypt(payload, header).toString("hex");
    });
  },
  unprotect_rtp: ({ packets }) => packets.map((packet) => rtp.decrypt(octets(packet)).toString("hex")),
  protect_rtcp: ({ packets }) => packets.map((packet) => rtcp.encrypt(octets(packet)).toString("hex")),
  unprotect_rtcp: ({ packets }) => packets.map((packet) => rtcp.decrypt(octets(packet)).toString("hex")),

  // A peer with one audio stream, PCMA.
  connect({ address }) {
    page = new RTCPeerConnection({
      codecs: { audio: [usePCMA()], video: [] },
      iceServers: [],
      iceUseIpv6: false,
      iceUseTcp: false,
      iceAdditionalHostAddresses: [address],
      iceInterfaceAddresses: { udp4: address },
    });
    track = new MediaStreamTrack({ kind: "audio" });
    page.addTransceiver(track, { direction: "sendrecv" });
    page.connectionStateChange.subscribe((state) => tell({ event: "state", state }));
    page.onTrack.subscribe((heard) =>
      heard.onReceiveRtp.subscribe((packet) => tell({ event: "heard", payload: packet.payload.toString("hex") })));
  },
  async offer() {
    await page.setLocalDescription(await page.createOffer());
    return page.localDescription.sdp;
  },
  async restart() {
    page.restartIce();
    return await orders.offer();
  },
  async answer({ sdp }) {
    await page.setRemoteDescription({ type: "offer", sdp });
    await page.setLocalDescription(await page.createAnswer());
    return page.localDescription.sdp;
  },
  accept: ({ sdp }) => page.setRemoteDescription({ type: "answer", sdp }),
  // werift begins no checks by itself after a restart as long as its DTLS is up.
  check: () => page.dtlsTransports[0].iceTransport.start(),
  // Say these payloads, one each 20 ms.
  speak({ payloads }) {
    const left = payloads.map(octets);
    const speaking = setInterval(() => {
      const payload = left.shift();
      if (payload === undefined) return clearInterval(speaking);
      const packet = RtpPacket.deSerialize(Buffer.concat([Buffer.alloc(12), payload]));
      Object.assign(packet.header, { version: 2, payloadType: 8, sequenceNumber: number, timestamp: number * 160 });
      track.writeRtp(packet);
      number += 1;
    }, FRAME_MS);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, order, ...rest } = JSON.parse(line);
  try {
    tell({ id, answer: (await orders[order](rest)) ?? null });
  } catch (error) {
    tell({ id, error: String(error) });
  }
}
process.exit(0);
