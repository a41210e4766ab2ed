// The camera: a video element and a loop that hands out frames, one at a time, for as long as it is on.

/** So many times of frames make the rate that is shown. */
const REMEMBERED = 12;

export class Camera {
  #video = Object.assign(document.createElement("video"), { playsInline: true, muted: true });
  #times = [];
  #turn = 0;

  get on() {
    return this.#video.srcObject !== null;
  }

  /** Frames a second of late; 0 before there are two. */
  get rate() {
    const span = this.#times.at(-1) - this.#times[0];
    return span > 0 ? (1000 * (this.#times.length - 1)) / span : 0;
  }

  /**
   * Opens the camera and calls `take(bitmap)` with a frame, again when that is done. A frame's shorter side is `side`,
   * which is all that a network looks at: whatever is larger costs time that the network lacks. `ended()` is called
   * when the camera goes away by itself. Rejects where there is no camera, or no permission.
   */
  async start(side, take, ended) {
    const turn = (this.#turn += 1);
    const video = { facingMode: "environment", width: { ideal: Math.round((4 / 3) * side) }, height: { ideal: side } };
    const stream = await navigator.mediaDevices.getUserMedia({ video });
    if (turn !== this.#turn) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    for (const track of stream.getTracks()) track.addEventListener("ended", () => turn === this.#turn && ended());
    this.#video.srcObject = stream;
    this.#times = [];
    await this.#video.play();
    this.#run(turn, side, take);
  }

  /** Turns the camera off: its light goes out. */
  stop() {
    this.#turn += 1;
    for (const track of this.#video.srcObject?.getTracks() ?? []) track.stop();
    this.#video.srcObject = null;
  }

  async #run(turn, side, take) {
    while (turn === this.#turn) {
      // Waits while the page is out of sight.
      await new Promise(requestAnimationFrame);
      if (turn !== this.#turn || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
      await take(await this.#frame(side));
      this.#times.push(performance.now());
      if (this.#times.length > REMEMBERED) this.#times.shift();
    }
  }

  #frame(side) {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const part = side / Math.min(width, height);
    if (part >= 1) return createImageBitmap(this.#video);
    const [resizeWidth, resizeHeight] = [Math.round(width * part), Math.round(height * part)];
    return createImageBitmap(this.#video, { resizeWidth, resizeHeight, resizeQuality: "medium" });
  }
}
