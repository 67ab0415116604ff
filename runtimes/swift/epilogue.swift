#sourceLocation(file: "epilogue.swift", line: 1)
// What the runtime appends to an action: a call of ACTION with the argument, and its result as a line.
import Foundation

// A line that was printed is in the logs, whatever becomes of the process.
setvbuf(stdout, nil, _IOLBF, 0)

func actionproxyFail(_ reason: String) -> Never {
    FileHandle.standardError.write(Data((reason + "\n").utf8))
    exit(1)
}

do {
    let input = FileHandle.standardInput.readDataToEndOfFile()
    guard let argument = try JSONSerialization.jsonObject(with: input) as? [String: Any] else {
        actionproxyFail("`ACTION` takes a dictionary, and the argument is none")
    }
    let result: [String: Any] = try ACTION(args: argument)
    guard JSONSerialization.isValidJSONObject(result) else {
        actionproxyFail("what `ACTION` returned cannot be JSON: \(result)")
    }
    let output = try JSONSerialization.data(withJSONObject: result)
    print(String(decoding: output, as: UTF8.self))
} catch {
    actionproxyFail("`ACTION` threw \(error)")
}
