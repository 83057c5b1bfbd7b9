#!/usr/bin/python3
"""Checks an OpenAPI 3.1 document, and answers against it.

    check_openapi.py DOCUMENT SHAPES <EXCHANGES

DOCUMENT is the JSON of the document, SHAPES a file of TypeScript interfaces.
EXCHANGES is a JSON array of {method, path, status, type, headers, body, shape,
events, sent, sent_type}: the path as the document has it, the header names in
lower case, the name of an interface that the body must have as well, of a
stream the events, and the body of the request.  The answer is JSON: what is wrong with the document, with which
answers, and in which places of answers a member that nobody knows was let pass.

The schemas are validated by python3-jsonschema (JSON Schema 2020-12).
"""

import json
import re
import sys

from jsonschema import Draft202012Validator

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

# What an object of the OpenAPI Specification 3.1 may have.
OBJECTS = {
    "document": "openapi info jsonSchemaDialect servers paths webhooks components security tags externalDocs",
    "info": "title summary description termsOfService contact license version",
    "components": "schemas responses parameters examples requestBodies headers securitySchemes links callbacks pathItems",
    "path": "$ref summary description servers parameters " + " ".join(METHODS),
    "operation": "tags summary description externalDocs operationId parameters requestBody responses callbacks deprecated security servers",
    "parameter": "name in description required deprecated allowEmptyValue style explode allowReserved schema example examples content",
    "header": "description required deprecated style explode schema example examples content",
    "body": "description content required",
    "response": "description headers content links",
    "media": "schema example examples encoding",
    "scheme": "type description name in scheme bearerFormat flows openIdConnectUrl",
}
REQUIRED = {
    "document": "openapi info paths", "info": "title version", "operation": "operationId responses",
    "parameter": "name in description schema", "header": "schema", "body": "content",
    "response": "description", "media": "schema", "scheme": "type",
}


class Document:
    def __init__(self, document):
        self.document = document
        self.problems = []
        self.used = set()
        self.validators = {}
        self.seen = {}

    def problem(self, where, text):
        self.problems.append(f"{where}: {text}")

    def resolve(self, value, where):
        """What a reference leads to, or the value itself."""
        seen = 0
        while isinstance(value, dict) and "$ref" in value and seen < 10:
            value = self.lookup(value["$ref"], where)
            seen += 1
        return value

    def lookup(self, pointer, where):
        if not pointer.startswith("#/"):
            self.problem(where, f"{pointer} leads elsewhere")
            return {}
        value = self.document
        for part in pointer[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(value, dict) or part not in value:
                self.problem(where, f"{pointer} leads nowhere")
                return {}
            value = value[part]
        self.used.add(pointer)
        return value

    def members(self, kind, value, where):
        """The value is an object of the specification; and what it is a reference to."""
        value = self.resolve(value, where)
        if not isinstance(value, dict):
            self.problem(where, f"is no {kind}")
            return {}
        for name in value:
            if name not in OBJECTS[kind].split() and not name.startswith("x-"):
                self.problem(where, f"a {kind} has no {name}")
        for name in REQUIRED.get(kind, "").split():
            if name not in value:
                self.problem(where, f"{name} is missing")
        return value

    def schema(self, schema, where):
        try:
            Draft202012Validator.check_schema(schema)
        except Exception as error:  # a schema that is none
            self.problem(where, str(error).split("\n")[0])
        self.references(schema, where)

    def references(self, value, where):
        """Follow every reference of a schema, once."""
        if isinstance(value, list):
            for item in value:
                self.references(item, where)
        elif isinstance(value, dict):
            pointer = value.get("$ref")
            if isinstance(pointer, str) and pointer not in self.used:
                self.references(self.lookup(pointer, where), pointer)
            for item in value.values():
                self.references(item, where)

    def content(self, content, where):
        for name, media in content.items():
            media = self.members("media", media, f"{where} {name}")
            for schema in (media.get("schema", {}), media.get("x-event", {}), media.get("x-line", {})):
                self.schema(schema, f"{where} {name}")

    def headers(self, headers, where):
        for name, header in headers.items():
            header = self.members("header", header, f"{where} {name}")
            self.schema(header.get("schema", {}), f"{where} {name}")

    def parameters(self, operation, path, where):
        """Those of the operation and its path; in the path exactly those of its template."""
        names = []
        for parameter in path.get("parameters", []) + operation.get("parameters", []):
            parameter = self.members("parameter", parameter, where)
            names.append((parameter.get("in"), parameter.get("name")))
            if parameter.get("in") not in ("query", "header", "path", "cookie"):
                self.problem(where, f"a parameter in {parameter.get('in')}")
            if parameter.get("in") == "path" and not parameter.get("required"):
                self.problem(where, f"{parameter.get('name')} is in the path and not required")
            self.schema(parameter.get("schema", {}), f"{where} {parameter.get('name')}")
        if len(names) != len(set(names)):
            self.problem(where, "a parameter is there twice")
        return {name for place, name in names if place == "path"}

    def check(self):
        document = self.members("document", self.document, "document")
        self.members("info", document.get("info"), "info")
        if not re.fullmatch(r"3\.1\.\d+", document.get("openapi", "")):
            self.problem("document", "is not of OpenAPI 3.1")
        components = self.members("components", document.get("components", {}), "components")
        schemes = components.get("securitySchemes", {})
        for name, scheme in schemes.items():
            self.members("scheme", scheme, f"security scheme {name}")
        operations = []
        tags = {tag["name"] for tag in document.get("tags", [])}
        for template, path in document.get("paths", {}).items():
            path = self.members("path", path, template)
            for method in METHODS & set(path):
                where = f"{method.upper()} {template}"
                operation = self.members("operation", path[method], where)
                operations.append(operation.get("operationId"))
                if self.parameters(operation, path, where) != set(re.findall(r"\{(\w+)\}", template)):
                    self.problem(where, "its template and its parameters differ")
                for tag in set(operation.get("tags", [])) - tags:
                    self.problem(where, f"there is no tag {tag}")
                for need in operation.get("security", document.get("security", [])):
                    for name in set(need) - set(schemes):
                        self.problem(where, f"there is no security scheme {name}")
                if "requestBody" in operation:
                    body = self.members("body", operation["requestBody"], where)
                    self.content(body.get("content", {}), where)
                for status, response in operation.get("responses", {}).items():
                    if not re.fullmatch(r"[1-5]\d\d|default", status):
                        self.problem(where, f"{status} is no status")
                    response = self.members("response", response, f"{where} {status}")
                    self.headers(response.get("headers", {}), f"{where} {status}")
                    self.content(response.get("content", {}), f"{where} {status}")
        if len(operations) != len(set(operations)):
            self.problem("document", "an operationId is there twice")
        for name, schema in components.get("schemas", {}).items():
            self.schema(schema, f"components/schemas/{name}")
        for kind, parts in components.items():
            for name in parts:
                if kind != "securitySchemes" and f"#/components/{kind}/{name}" not in self.used:
                    self.problem(f"components/{kind}/{name}", "is used by nothing")

    def is_news(self, exchange, kind):
        """Is this one of the first answers of its kind?  Trying members takes long."""
        key = f"{exchange['method']} {exchange['path']} {kind}"
        self.seen[key] = self.seen.get(key, 0) + 1
        return self.seen[key] <= 5

    def validator(self, schema):
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            # the references of a schema are to the document's components
            self.validators[key] = Draft202012Validator({**schema, "components": self.document["components"]})
        return self.validators[key]

    def errors(self, schema, value):
        return ["/".join(map(str, error.absolute_path)) + ": " + error.message[:200]
                for error in self.validator(schema).iter_errors(value)]


# ---- TypeScript's interfaces as schemas: as many as the log API design uses of the language

TOKEN = re.compile(r"\s*(?://[^\n]*\s*)*([A-Za-z_]\w*|\"[^\"]*\"|\[\]|[{}<>|;:,?])")


class Shapes:
    def __init__(self, text):
        self.tokens = TOKEN.findall(re.sub(r"//[^\n]*", "", text))
        self.at = 0
        self.interfaces = {}
        self.named = set()
        while self.at < len(self.tokens):
            self.take("interface")
            name = self.take()
            self.interfaces[name] = self.members()
        for name in self.named - set(self.interfaces):
            self.interfaces[name] = {"type": "object"}  # the design does not say more

    def take(self, wanted=None):
        token = self.tokens[self.at]
        if wanted is not None and token != wanted:
            raise ValueError(f"{wanted} expected, not {token}")
        self.at += 1
        return token

    def peek(self):
        return self.tokens[self.at]

    def members(self):
        schema = {"type": "object", "properties": {}, "required": []}
        self.take("{")
        while self.peek() != "}":
            name = self.take()
            if self.peek() == "?":
                self.take()
            else:
                schema["required"].append(name)
            self.take(":")
            schema["properties"][name] = self.type()
            self.take(";")
        self.take("}")
        return schema

    def type(self):
        choices = [self.single()]
        while self.peek() == "|":
            self.take()
            choices.append(self.single())
        return choices[0] if len(choices) == 1 else {"anyOf": choices}

    def single(self):
        if self.peek() == "{":
            schema = self.members()
        else:
            name = self.take()
            if name == "Record":
                self.take("<")
                self.take("string")
                self.take(",")
                schema = {"type": "object", "additionalProperties": self.type()}
                self.take(">")
            elif name == "any":
                schema = {}
            elif name in ("string", "number", "boolean"):
                schema = {"type": name}
            elif name.startswith('"'):
                schema = {"const": name[1:-1]}
            else:
                self.named.add(name)
                schema = {"$ref": f"#/$defs/{name}"}
        while self.peek() == "[]":
            self.take()
            schema = {"type": "array", "items": schema}
        return schema

    def errors(self, name, value):
        validator = Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": self.interfaces})
        return [f"{name}: " + "/".join(map(str, error.absolute_path)) + ": " + error.message[:200]
                for error in validator.iter_errors(value)]


# ---- answers

# What HTTP itself has, and what CORS adds.
OWN_HEADERS = {"date", "content-type", "content-length", "transfer-encoding", "connection"}


def loose_places(document, schema, value, whole=None, path=()):
    """Where an object of the value may have a member more."""
    whole = value if whole is None else whole
    places = set()
    if isinstance(value, dict):
        value["a member too many"] = 1
        if not document.errors(schema, whole):
            places.add("/".join("*" if isinstance(part, int) else part for part in path))
        del value["a member too many"]
        for name, item in value.items():
            places |= loose_places(document, schema, item, whole, path + (name,))
    elif isinstance(value, list) and value:
        places |= loose_places(document, schema, value[-1], whole, path + (0,))
    return places


def check_exchange(document, shapes, exchange, loose):
    operation = document.document["paths"].get(exchange["path"], {}).get(exchange["method"].lower())
    if operation is None:
        return ["there is no such operation"]
    responses = operation["responses"]
    response = document.resolve(responses.get(str(exchange["status"]), responses.get("default")), "")
    if response is None:
        return ["there is no such answer"]
    errors = []
    described = {name.lower(): document.resolve(header, "") for name, header in response.get("headers", {}).items()}
    for name, value in exchange["headers"].items():
        if name in described:
            for one in value if isinstance(value, list) else [value]:
                errors += [f"header {name} {error}" for error in document.errors(described[name]["schema"], one)]
        elif name not in OWN_HEADERS:
            errors.append(f"header {name} is not described")
    errors += [f"header {name} is missing" for name, header in described.items()
               if header.get("required") and name not in exchange["headers"]]

    if exchange["status"] < 300 and exchange.get("sent"):
        # what has been taken is what it says is taken
        body = operation["requestBody"]["content"][exchange["sent_type"]]["schema"]
        if exchange["sent_type"].endswith("json") and body.get("type") != "string":
            errors += ["request " + error for error in document.errors(body, json.loads(exchange["sent"]))]
    content = response.get("content", {})
    if not content:
        return errors + (["has a body"] if exchange["body"] else [])
    kind = exchange["type"].split(";")[0]
    if kind not in content:
        return errors + [f"{kind} is not described"]
    if "x-line" in content[kind]:
        for line in exchange["body"].splitlines():
            errors += document.errors(content[kind]["x-line"], json.loads(line))
    elif kind.endswith("json"):
        body = json.loads(exchange["body"])
        schema = content[kind]["schema"]
        found = document.errors(schema, body)
        errors += found
        if not found and document.is_news(exchange, schema):
            loose |= {f"{exchange['path']} {place}" for place in loose_places(document, schema, body)}
        if exchange.get("shape"):
            errors += shapes.errors(exchange["shape"], body)
    for event in exchange.get("events", []):
        errors += document.errors(content[kind]["x-event"], event)
        data = json.loads(event["data"])
        # ServerSentEvent has EventData in it, ServerSentEventOfMany EventDataOfMany
        wanted = {"$ref": content[kind]["x-event"]["$ref"].replace("ServerSentEvent", "EventData")}
        errors += document.errors(wanted, data)
        errors += shapes.errors("EventData", data)
        if document.is_news(exchange, data["event_type"]):
            loose |= {f"{exchange['path']} {place}" for place in loose_places(document, wanted, data)}
    return errors


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = Document(json.load(file))
    with open(sys.argv[2], encoding="utf-8") as file:
        shapes = Shapes(file.read())
    document.check()
    failures = []
    loose = set()
    for exchange in json.load(sys.stdin):
        errors = check_exchange(document, shapes, exchange, loose)
        failures += [f"{exchange['method']} {exchange['path']} {exchange['status']}: {error}" for error in errors]
    json.dump({"document": document.problems, "answers": sorted(set(failures)), "loose": sorted(loose)}, sys.stdout)


main()
