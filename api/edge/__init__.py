"""What stands between a socket and the routes; it knows no business word.

connections  whose connections they are, and how many
protocol     uvicorn's protocols with deadlines for those who are slow
requests     bodies, heads and query parameters that are not taken
answers      headers of every answer; HEAD is GET without its body
contract     what the routes declare: methods, query parameters, body sizes
monitoring   who sees figures and details
"""
