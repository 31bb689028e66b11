import array, sys, threading, json
import mlperf_loadgen as lg
scen, mode, out = sys.argv[1:4]
conf="/root/dev/user.conf"
open(conf,"w").write("""llama3_1-8b.Offline.target_qps = 10
llama3_1-8b.Offline.min_duration = 0
llama3_1-8b.Offline.min_query_count = 64
llama3_1-8b.Server.target_qps = 100
llama3_1-8b.Server.min_duration = 0
llama3_1-8b.Server.min_query_count = 500
llama3_1-8b.*.performance_sample_count_override = 64
""")
s=lg.TestSettings(); print(s.FromConfig(conf,"llama3_1-8b",scen))
print({k:getattr(s,k) for k in dir(s) if not k.startswith("_")})
s.scenario=getattr(lg.TestScenario,scen); s.mode=getattr(lg.TestMode,mode)
T=array.array("i",range(16)); a,n=T.buffer_info()
def issue(ids,idx):
    def go():
        for i in ids:
            if scen=="Server": lg.FirstTokenComplete([lg.QuerySampleResponse(i,a,4)])
            lg.QuerySamplesComplete([lg.QuerySampleResponse(i,a,4*n,n)])
    threading.Thread(target=go).start()
import os; os.makedirs(out,exist_ok=True)
lo,ls=lg.LogOutputSettings(),lg.LogSettings(); lo.outdir=out; lo.copy_summary_to_stdout=False; ls.log_output=lo; ls.enable_trace=False
sut=lg.ConstructFastSUT(issue,lambda:None); q=lg.ConstructQSL(64,64,lambda x:None,lambda x:None)
lg.StartTestWithLogSettings(sut,q,s,ls)
