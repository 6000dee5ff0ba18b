"""A stand-in for a language model behind an OpenAI-compatible endpoint, for tests and for trying
experiments/interaction.yaml and experiments/selection.yaml.

    python3 tests/stub_teacher.py 8000            # corrects: the first sentence of the learner, with its punctuation mended
    python3 tests/stub_teacher.py 8000 --score    # scores: 10 for a continuation that ends with a full stop, otherwise 3

It expects the instructions of experiments/teacher.txt, in which the text of the learner follows its last colon. A
request for pairs is about a text that is to be rewritten, which follows "Text:".
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def answer(learner: str, score: bool) -> str:
    if score:
        return "10" if learner.rstrip().endswith(".") else "3"
    sentence = " ".join(learner.split(".")[0].split())
    return sentence + "." if sentence else "I do not know."


def pairs(text: str, count: int) -> str:
    sentence = answer(text, score=False)
    topic = " ".join(text.split()[:3])
    pair = lambda number: {"instruction": f"Tell me about {topic} ({number}).", "response": sentence}
    return json.dumps({"pairs": [pair(number + 1) for number in range(count)]})


class Handler(BaseHTTPRequestHandler):
    score = False

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = request["messages"][-1]["content"]
        if "response_format" in request:
            schema = request["response_format"]["json_schema"]["schema"]["properties"]["pairs"]
            text = pairs(content.split("Text:", 1)[-1], schema["minItems"])
        else:
            text = answer(content.rsplit(":", 1)[-1], self.score)
        message = {"role": "assistant", "content": text}
        body = json.dumps({"choices": [{"message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="0 takes a free one; the port is printed")
    parser.add_argument("--score", action="store_true")
    arguments = parser.parse_args()
    Handler.score = arguments.score
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
