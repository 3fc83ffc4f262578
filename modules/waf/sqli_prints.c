/*
 * Fingerprints of injections, in upper case ("T" stands for types and for T-SQL alike).
 *
 * Which they are was measured: of all sequences of one to five token types, these are those that the detector which
 * @detectSQLi is compared with takes for an injection.  A row is three types, and what may follow them; "-" is nothing.
 */

#include "modules/waf/sqli_internal.h"

#include "core/base/result.h"

static const char *const shorter[] = {"1C", "1U", "NC", "SC", "VC", "VU", "X"};

static const struct {
    char first[4];
    const char *rest;
} longer[] = {
    {"&(1", ")O )U O( OF OS OV "},
    {"&(F", "() (1 (F (N (S (V "},
    {"&(N", ")O )U O( OF OS OV "},
    {"&(S", ")O )U O( O1 OF ON OS OV "},
    {"&(V", ")O )U O( OF OS "},
    {"&1O", "(1 (F (N (S (V F( S( S1 SF SU SV V( VF VO VS VU "},
    {"&1U", "E( E1 EF EK EN ES EV "},
    {"&F(", ")O )U 1) 1O F( N) NO S) SO V) VO "},
    {"&NO", "(1 (F (N (S (V F( S( S1 SF SU SV V( VF VO VS VU "},
    {"&NU", "E( E1 EF EK EN ES EV "},
    {"&SO", "(1 (F (N (S (V 1( 1F 1N 1S 1U 1V F( N( N1 NF NU S( S1 SF SU SV V( VF VO VS VU "},
    {"&SU", "E( E1 EF EK EN ES EV "},
    {"&VO", "(1 (F (N (S (V F( S( S1 SF SU SV "},
    {"&VU", "E( E1 EF EK EN ES EV "},
    {")&(", "EK EN "},
    {")UE", "(1 (F (N (S (V 1K 1O F( K( K1 KF KN KS KV NK NO SK SO VK VO "},
    {"1&(", "1& 1) 1, 1O E( E1 EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"1&1", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS OV TN U U( U; UC UE "},
    {"1&E", "(1 (F (N (O (S (V 1 1; 1C 1K 1O F( K( K1 KF KN KS KU KV N N; NC NK NO S S; SC SK SO "
            "UE V V; VC VK VO "},
    {"1&F", "() (1 (E (F (N (S (V "},
    {"1&K", "&( &1 &F &N &S &V (1 (F (N (S (V 1O C F( NK O( O1 OF OK ON OS OV SO VO "},
    {"1&N", "&( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EN F( K( K1 KF KN KS "
            "KV O( OF OS OV TN U U( U; UC UE "},
    {"1&S", "- &( &1 &F &N &S &V )& )C )O )U 1 1; 1C ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( "
            "K1 KF KN KS KV O( O1 OF ON OS OV TN U U( U; UC UE V V; VC VO "},
    {"1&V", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS S S; SC SO TN U U( U; UC UE "},
    {"1(E", "F( KF KN NK "},
    {"1(U", "(E "},
    {"1)&", "(1 (E (F (N (S (V 1 1& 1) 1; 1B 1C 1F 1O 1U F( N N& N) N; NB NC NF NO NU S S& S) S; "
            "SB SC SF SO SU V V& V) V; VB VC VF VO VU "},
    {"1),", "(1 (F (N (S (V "},
    {"1);", "E( E1 EF EK EN EO ES EV T( T1 TF TK TN TO TS TV "},
    {"1)B", "(1 (F (N (S (V 1 1& 1; 1C 1K 1N 1O 1U F( N N& N; NC NK NO NU S S& S; SC SK SO SU V "
            "V& V; VC VK VO VU "},
    {"1)C", "- "},
    {"1)E", "(1 (F (N (S (V 1C 1O F( K( K1 KF KN KS KV NC NO SC SO VC VO "},
    {"1)F", "(F "},
    {"1)K", "(1 (F (N (S (V 1& 1; 1B 1E 1O 1U B( B1 BF BN BS BV F( N& N; NB NC NE NK NU S& S; SB "
            "SE SO SU UE V& V; VB VE VO VU "},
    {"1)O", "(1 (E (F (N (S (V 1 1& 1) 1; 1B 1C 1K 1U F( N& N) N; NB NC NK NU S S& S) S; SB SC "
            "SK SU V V& V) V; VB VC VK VO VU "},
    {"1)U", "(E E( E1 EF EK EN ES EV "},
    {"1,(", "1) 1O E( E1 EF EK EN ES EV F( N) NO S) SO V) VO "},
    {"1,F", "() (1 (F (N (S (V "},
    {"1;E", "(1 (E (F (N (S (V 1, 1; 1C 1K 1O 1T F( K( K1 KF KN KO KS KV N, N; NC NE NK NO NT S, "
            "S; SC SK SO ST V, V; VC VK VO VT "},
    {"1;N", ":T "},
    {"1;T", "(1 (C (E (F (N (S (V 1( 1, 1; 1C 1F 1K 1O 1T ; ;C F( K( K1 KF KK KN KO KS KV N( N, "
            "N1 N; NC NF NK NN NO NS NT NV O( S( S, S; SC SF SK SO ST TN V( V, V; VC VF VK VO VT "},
    {"1A(", "F( N) NO S) SO V) VO "},
    {"1AF", "() (1 (F (N (S (V "},
    {"1AS", "O( O1 OF ON OS OV UE "},
    {"1AT", "O( O1 OF ON OS OV UE "},
    {"1AV", "O( OF OS UE "},
    {"1B(", "1) 1O F( NO S) SO V) VO "},
    {"1B1", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"1BE", "(1 (F (N (S (V K( "},
    {"1BF", "() (1 (F (N (S (V "},
    {"1BN", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"1BS", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( O1 OF ON OS "
            "OV U( UE "},
    {"1BV", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS U( UE "},
    {"1E(", "1) 1O F( N) NO S) SO V) VO "},
    {"1E1", ";T C O( OF OS OV T( T1 TF TN TS TV UE "},
    {"1EF", "() (1 (F (N (S (V "},
    {"1EK", "(1 (E (F (N (S (V 1; 1C 1O 1T 1U F( N; NC NE NT NU OK S; SC SO ST SU U( U1 UE UF US "
            "UV V; VC VO VT VU "},
    {"1EN", ";T C EN O( OF OS OV T( T1 TF TN TS TV UE "},
    {"1EO", "KN "},
    {"1ES", ";T C O( O1 OF ON OS OV T( T1 TF TN TS TV UE "},
    {"1EU", "(1 (F (N (S (V 1, 1C 1O EF EK F( S, SC SO V, VC VO "},
    {"1EV", ";T C O( OF OS T( T1 TF TN TS TV UE "},
    {"1F(", ")1 )F )K )N )O )S )U )V 1) 1N 1O E( E1 EF EK EN ES EV F( N) N, NO S) SO V) VO "},
    {"1K(", "1O F( N) NO S) SO V) VO "},
    {"1K)", "&( &1 &F &N &S &V ;E ;T B( B1 BF BN BS BV E( E1 EF EK EN ES EV F( O( OF UE "},
    {"1K1", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS OV "
            "U( UE "},
    {"1KF", "() (1 (F (N (S (V "},
    {"1KN", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EN ES EV U( UE "},
    {"1KS", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( O1 OF ON "
            "OS OV U( UE "},
    {"1KU", "E( E1 EF EK EN ES EV "},
    {"1KV", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS U( "
            "UE "},
    {"1N&", "F( "},
    {"1N(", "1O F( S) SO V) VO "},
    {"1N)", "UE "},
    {"1N,", "F( "},
    {"1NE", "(1 (F (N (S (V 1C 1O F( NC NO SC SO VC VO "},
    {"1NU", "(E E E( E1 E; EC EF EK EN ES EV "},
    {"1O(", "1& 1) 1, 1O E( E1 EE EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"1OF", "() (1 (E (F (N (S (V "},
    {"1OK", "&( &1 &F &N &S &V (1 (F (N (S (V 1C 1O F( NC O( O1 OF ON OS OV SC SO VC VO "},
    {"1ON", "SU "},
    {"1OS", "&( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F 1( 1F 1N 1S 1U "
            "1V ; ;C ;E ;N ;T A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU EV "
            "F( K( K) K1 KB KF KN KS KU KV T( T1 TE TF TN TS TT TV U U( U1 U; UC UE UF UK UO US "
            "UT UV V( VF VO VS VU "},
    {"1OU", "(E EK EN "},
    {"1OV", "- &( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F ; ;C ;E ;N "
            ";T A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU EV F( K( K) K1 KB "
            "KF KN KS KU KV O( OF OK OS OU S( S1 SF SO SU SV T( T1 TE TF TN TS TT TV U U( U1 U; "
            "UC UE UF UK UO US UT UV "},
    {"1SF", "() (1 (F (N (S (V "},
    {"1SU", "E E; EC EK "},
    {"1SV", "- ; ;C C O( OF OS "},
    {"1T(", "1) 1O F( N) NO S) SO V) VO "},
    {"1T1", "(F O( OF OS OV "},
    {"1TE", "(1 (F (N (S (V 1N 1O F( K( K1 KF KN KS KV NN NO SN SO VN VO "},
    {"1TF", "() (1 (F (N (S (V "},
    {"1TN", "(1 (F (S (V 1C 1O ;E ;N ;T E( E1 EF EN ES EV F( KN N: NC NO O( OF OS OV SC SO T( T1 "
            "TF TN TS TV VC VO "},
    {"1TS", "(F O( O1 OF ON OS OV "},
    {"1TT", "NE NK NN NT "},
    {"1TV", "(1 (F O( OF OS "},
    {"1U(", "1) 1O E( E1 EF EK EN ES EV F( N) NO S) SO V) VO "},
    {"1U1", ",( ,F C O( OF OS OV "},
    {"1U;", "- C "},
    {"1UC", "- "},
    {"1UE", "- (1 (E (F (N (O (S (V 1 1& 1( 1) 1, 1; 1B 1C 1F 1K 1N 1O 1S 1U 1V ; ;C C F F( F, "
            "F; FC K K( K1 K; KC KF KN KO KS KV N N& N( N) N, N1 N; NB NC NF NK NN NO NS NU OK "
            "ON S S& S( S) S, S1 S; SB SC SF SK SO SU SV V V& V( V) V, V; VB VC VF VK VN VO VS "
            "VU "},
    {"1UF", "() (1 (F (N (S (V "},
    {"1UK", "(E "},
    {"1UO", "(E N( N1 NF NS "},
    {"1US", ",( ,F C O( O1 OF ON OS OV "},
    {"1UT", "N( N1 NF NN NS NV "},
    {"1UV", ",( ,F C O( OF OS "},
    {"1VF", "() (1 (F (N (S (V "},
    {"1VO", "(1 (F (N (S (V F( S( S1 SF SU SV "},
    {"1VS", "- ; ;C C O( O1 OF ON OS OV "},
    {"1VU", "E E; EC EK "},
    {";T(", "EF EK "},
    {";TK", "NC "},
    {"E(1", "&( &1 &F &N &S &V )& ), )1 ); )B )C )F )K )N )O )S )U )V ,F F( N) O( OF OS OV S) V) "
            "VO "},
    {"E(E", "(1 (E (F (N (S (V 1& 1) 1O F( K( K1 KF KN KS KV N& N) NO S& S) SO V& V) VO "},
    {"E(F", "() (1 (E (F (N (S (V "},
    {"E(N", "&( &1 &F &N &S &V (1 (F (S (V )& ), )1 ); )B )C )F )K )N )O )S )U )V ,F 1) 1O F( O( "
            "OF OS OV "},
    {"E(S", "&( &1 &F &N &S &V )& ), )1 ); )B )C )F )K )N )O )S )U )V ,F 1) F( O( O1 OF ON OS OV "
            "V) VO "},
    {"E(V", "&( &1 &F &N &S &V )& ), )1 ); )B )C )F )K )N )O )S )U )V ,F F( O( OF OS S) SO "},
    {"E1&", "(1 (E (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"E1)", "- &( &1 &F &N &S &V ; ;( ;C ;E ;T C KN O( O1 OF ON OS OV UE "},
    {"E1,", "(1 (F (N (S (V F( "},
    {"E1;", "(E "},
    {"E1B", "(1 (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"E1F", "() (1 (F (N (S (V "},
    {"E1K", "(1 (E (F (N (S (V 1) 1K 1O F( N N) N; NC NK NU S) SK SO V) VK VO "},
    {"E1N", ")U ; ;C C KN "},
    {"E1O", "(1 (E (F (N (S (V F( S& S( S) S, S1 S; SB SF SK SU SV V& V( V) V, V; VB VF VK VO VS "
            "VU "},
    {"E1S", "; ;C C "},
    {"E1U", "(E E( E1 EF EK EN ES EV "},
    {"E1V", "- ; ;C C O( OF OS "},
    {"EE(", "F( "},
    {"EEK", "(F "},
    {"EF(", ")& ), )1 ); )B )F )K )N )O )S )U )V 1& 1) 1, 1O E( E1 EF EK EN ES EV F( N& N) N, NO "
            "O) S& S) S, SO V& V) V, VO "},
    {"EK(", "1& 1( 1) 1, 1F 1N 1O 1S 1V E( E1 EF EK EN ES EV F( N& N( N) N, N1 NF NO S& S( S) S, "
            "S1 SF SO SV V& V( V) V, VF VO VS "},
    {"EK1", "&( &1 &F &N &S &V ) )& ); )C )K )O )U ,( ,F ;( B( B1 BF BN BS BV F( K( K1 KF KN KS "
            "KV N N) N; NC NK O( OF OS OV S S; SC SF SK U( UE V V; VC VF VK VO "},
    {"EKE", "(F K( "},
    {"EKF", "() (1 (E (F (N (O (S (V "},
    {"EKN", "&( &1 &F &N &S &V (1 (F (S (V ) )& ); )C )K )O )U ,( ,F 1 1; 1C 1K 1O ;( B( B1 BF "
            "BN BS BV F( K( K1 KF KN KS KV U( UE "},
    {"EKO", "(1 (F (N (S (V K( KN "},
    {"EKS", "&( &1 &F &N &S &V ) )& ); )C )K )O )U ,( ,F 1 1; 1C 1F 1K ;( B( B1 BF BN BS BV F( "
            "K( K1 KF KN KS KV O( O1 OF ON OS OV U( UE V V; VC VF VK VO "},
    {"EKV", "&( &1 &F &N &S &V ) )& ); )C )K )O )U ,( ,F ;( B( B1 BF BN BS BV F( K( K1 KF KN KS "
            "KV O( OF OS S S; SC SF SK SO U( UE "},
    {"EN&", "(1 (E (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"EN(", "1O F( S) SO V) VO "},
    {"EN)", "- &( &1 &F &N &S &V ; ;( ;C ;E ;T C KN O( O1 OF ON OS OV UE "},
    {"EN,", "(1 (F (N (S (V F( "},
    {"EN1", "; ;C O( OF OS OV "},
    {"EN;", "(E "},
    {"ENB", "(1 (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"ENF", "() (1 (F (N (S (V "},
    {"ENK", "(1 (E (F (N (S (V 1) 1K 1O F( N) N, N; NB NC NK NU S) SK SO V) VK VO "},
    {"ENO", "(1 (E (F (N (S (V F( S& S( S) S, S1 S; SB SF SK SU SV V& V( V) V, V; VB VF VK VO VS "
            "VU "},
    {"ENU", "(E E( E1 EF EK EN ES EV "},
    {"EOK", "(E NK "},
    {"ES&", "(1 (E (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"ES)", "- &( &1 &F &N &S &V ; ;( ;C ;E ;T C KN O( O1 OF ON OS OV UE "},
    {"ES,", "(1 (F (N (S (V F( "},
    {"ES1", "- ; ;C C "},
    {"ES;", "(E "},
    {"ESB", "(1 (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"ESF", "() (1 (F (N (S (V "},
    {"ESK", "(1 (E (F (N (S (V 1) 1K 1O F( N N) N; NC NK NU S) SK SO V) VK VO "},
    {"ESO", "(1 (E (F (N (S (V 1& 1( 1) 1, 1; 1B 1F 1K 1N 1S 1U 1V F( N& N( N) N, N1 N; NB NF NK "
            "NU S& S( S) S, S1 S; SB SF SK SU SV V& V( V) V, V; VB VF VK VO VS VU "},
    {"ESU", "(E E( E1 EF EK EN ES EV "},
    {"ESV", "- ; ;C C O( OF OS "},
    {"EV&", "(1 (E (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"EV)", "- &( &1 &F &N &S &V ; ;( ;C ;E ;T C KN O( O1 OF ON OS OV UE "},
    {"EV,", "(1 (F (N (S (V F( "},
    {"EV;", "(E "},
    {"EVB", "(1 (F (N (S (V 1) 1O F( N) NO S) SO V) VO "},
    {"EVF", "() (1 (F (N (S (V "},
    {"EVK", "(1 (E (F (N (S (V 1) 1K 1O F( N N) N; NC NK NU S) SK SO V) VK VO "},
    {"EVN", "- )U ; ;C C KN O( OF OS OV "},
    {"EVO", "(1 (E (F (N (S (V F( S& S( S) S, S1 S; SB SF SK SU SV "},
    {"EVS", "- ; ;C C O( O1 OF ON OS OV "},
    {"EVU", "(E E( E1 EF EK EN ES EV "},
    {"F()", "&( &1 &E &F &K &N &S &V ,( ,1 ,F ,N ,S ,V 1( 1F 1N 1O 1S 1U 1V ;E ;N ;T A( AF AS AT "
            "AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU EV F( K( K) K1 KF KN KS KU KV N& "
            "N( N) N, N1 NE NF NO NU O( O1 OF OK ON OS OU OV S( S1 SF SO SU SV T( T1 TE TF TN TS "
            "TT TV U U( U1 U; UC UE UF UK UO US UT UV V( VF VO VS VU "},
    {"F(1", "&( &1 &F &N &S &V ) )& ), )1 ); )A )B )C )E )F )K )N )O )S )T )U )V ,( ,F O( OF OS "
            "OV "},
    {"F(E", "(1 (E (F (N (S (V 1& 1) 1K 1O F( K( K1 KF KN KO KS KV N& N) NK NO OK S& S) SK SO V& "
            "V) VK VO "},
    {"F(F", "() (1 (E (F (N (S (V "},
    {"F(K", "() ,( ,F "},
    {"F(N", "&( &1 &F &N &S &V ) )& ), )1 ); )A )B )C )E )F )K )N )O )S )T )U )V ,( ,F O( OF OS "
            "OV "},
    {"F(S", "&( &1 &F &N &S &V ) )& ), )1 ); )A )B )C )E )F )K )N )O )S )T )U )V ,( ,F O( O1 OF "
            "ON OS OV "},
    {"F(T", ",( ,F "},
    {"F(V", "&( &1 &F &N &S &V ) )& ), )1 ); )A )B )C )E )F )K )N )O )S )T )U )V ,( ,F O( OF OS "},
    {"K(1", "), )A )K )O O( OF OS OV "},
    {"K(F", "() (1 (F (N (S (V "},
    {"K(N", "), )A )K )O O( OF OS OV "},
    {"K(S", "), )A )K )O O( O1 OF ON OS OV "},
    {"K(V", "), )A )K )O O( OF OS "},
    {"K1,", "(1 (F (N (S (V F( "},
    {"K1A", "(F (N (S (V F( SO VO "},
    {"K1K", "(1 (F (N (S (V 1O 1U F( NU SO SU VO VU "},
    {"K1O", "(1 (F (N (S (V F( S( S, S1 SA SF SK SV V( V, VA VF VK VO VS "},
    {"KF(", "), )A )K )O 1) 1O F( N) NO S) SO V) VO "},
    {"KN,", "(1 (F (N (S (V F( "},
    {"KNA", "(F (N (S (V F( SO VO "},
    {"KNK", "(1 (F (N (S (V 1O 1U F( NU SO SU VO VU "},
    {"KS,", "(1 (F (N (S (V F( "},
    {"KSA", "(F (N (S (V F( SO VO "},
    {"KSK", "(1 (F (N (S (V 1O 1U F( NU SO SU VO VU "},
    {"KSO", "(1 (F (N (S (V 1( 1, 1A 1F 1K 1N 1S 1V F( N( N, N1 NA NF NK S( S, S1 SA SF SK SV V( "
            "V, VA VF VK VO VS "},
    {"KV,", "(1 (F (N (S (V F( "},
    {"KVA", "(F (N (S (V F( SO VO "},
    {"KVK", "(1 (F (N (S (V 1O 1U F( NU SO SU VO VU "},
    {"KVO", "(1 (F (N (S (V F( S( S, S1 SA SF SK SV "},
    {"N&(", "1& 1) 1, 1O E( E1 EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"N&1", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS OV TN U U( U; UC UE "},
    {"N&E", "(1 (F (N (O (S (V 1 1; 1C 1K 1O F( K( K1 KF KN KS KV N; NC NK NO S S; SC SK SO V V; "
            "VC VK VO "},
    {"N&F", "() (1 (E (F (N (S (V "},
    {"N&K", "&( &1 &F &N &S &V (1 (F (N (S (V 1O C F( NK O( O1 OF OK ON OS OV SO VO "},
    {"N&N", "&( &1 &F &S &V )& )C )O )U ;C ;E ;T B( B1 BF BS BV F( K( K1 KF KS KV O( OF OS OV U "
            "U( U; UC UE "},
    {"N&S", "&( &1 &F &N &S &V )& )C )O )U 1 1; 1C ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 "
            "KF KN KS KV O( O1 OF ON OS OV TN U U( U; UC UE V V; VC VO "},
    {"N&V", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS S S; SC SO TN U U( U; UC UE "},
    {"N)&", "(1 (E (F (N (S (V 1 1& 1) 1; 1B 1C 1F 1O 1U F( N N& N) N; NB NC NF NO NU S S& S) S; "
            "SB SC SF SO SU V V& V) V; VB VC VF VO VU "},
    {"N),", "(1 (F (N (S (V "},
    {"N);", "E( E1 EF EK EN EO ES EV T( T1 TF TK TN TO TS TV "},
    {"N)B", "(1 (F (N (S (V 1 1& 1; 1C 1K 1N 1O 1U F( N N& N; NC NK NO NU S S& S; SC SK SO SU V "
            "V& V; VC VK VO VU "},
    {"N)E", "(1 (F (N (S (V 1C 1O F( K( K1 KF KN KS KV NC NO SC SO VC VO "},
    {"N)F", "(F "},
    {"N)K", "(1 (F (N (S (V 1& 1; 1B 1E 1O 1U B( B1 BF BN BS BV F( N& N; NB NC NE NK NU S& S; SB "
            "SE SO SU UE V& V; VB VE VO VU "},
    {"N)O", "(1 (E (F (N (S (V 1& 1) 1; 1B 1C 1K 1U F( N& N) N; NB NC NK NU S S& S) S; SB SC SK "
            "SU V V& V) V; VB VC VK VO VU "},
    {"N)U", "(E E( E1 EF EK EN ES EV "},
    {"N,(", "1) 1O E( E1 EF EK EN ES EV F( NO S) SO V) VO "},
    {"N,F", "() (1 (F (N (S (V "},
    {"N1O", "(1 (F (N (S (V F( S( S1 SF SU SV V( VF VO VS VU "},
    {"N1S", "; ;C C "},
    {"N1U", "E E; EC EK "},
    {"N1V", "; ;C C O( OF OS "},
    {"N;E", "(1 (E (F (N (S (V 1, 1; 1C 1K 1O 1T F( K( K1 KF KN KO KS KV N, N; NC NE NK NO NT S, "
            "S; SC SK SO ST V, V; VC VK VO VT "},
    {"N;N", ":T "},
    {"N;T", "(1 (C (E (F (N (S (V 1( 1, 1; 1C 1F 1K 1O 1T ; ;C F( K( K1 KF KK KO KS KV N( N, N1 "
            "N; NC NE NF NK NN NO NS NT NV O( S( S, S; SC SF SK SO ST TN V( V, V; VC VF VK VO VT "},
    {"NA(", "F( N) NO S) SO V) VO "},
    {"NAF", "() (1 (F (N (S (V "},
    {"NAS", "O( O1 OF ON OS OV UE "},
    {"NAT", "O( O1 OF ON OS OV UE "},
    {"NAV", "O( OF OS UE "},
    {"NB(", "1& 1) 1O F( N& NO S& S) SO V& V) VO "},
    {"NB1", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"NBE", "(1 (F (N (S (V K( "},
    {"NBF", "() (1 (F (N (S (V "},
    {"NBN", "&( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"NBS", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( O1 OF ON OS "
            "OV U( UE "},
    {"NBV", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS U( UE "},
    {"NE(", "1) 1O F( N) NO S) SO V) VO "},
    {"NE1", ";T C O( OF OS OV T( T1 TF TN TS TV UE "},
    {"NEF", "() (1 (F (N (S (V "},
    {"NEN", ";T O( OF OS OV T( T1 TF TN TS TV UE "},
    {"NEO", "KN "},
    {"NES", ";T C O( O1 OF ON OS OV T( T1 TF TN TS TV UE "},
    {"NEU", "(1 (F (N (S (V 1, 1C 1O EF EK F( S, SC SO V, VC VO "},
    {"NEV", ";T C O( OF OS T( T1 TF TN TS TV UE "},
    {"NF(", ")1 )F )K )N )O )S )U )V 1) 1O E( E1 EF EK EN ES EV F( N, NO S) SO V) VO "},
    {"NK(", "1) 1O F( NO S) SO V) VO "},
    {"NK)", "&( &1 &F &N &S &V ;E ;T B( B1 BF BN BS BV E( E1 EF EK EN ES EV F( O( OF UE "},
    {"NK1", "- &( &1 &F &N &S &V ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS OV "
            "U( UE "},
    {"NKF", "() (1 (F (N (S (V "},
    {"NKN", "- &( &1 &F &S &V ;C ;E ;T B( B1 BF BN BS BV E( E1 EF ES EV U( UE "},
    {"NKS", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( O1 OF ON "
            "OS OV U( UE "},
    {"NKU", "E( E1 EF EK EN ES EV "},
    {"NKV", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS U( "
            "UE "},
    {"NO(", "1& 1) 1, 1O E( E1 EE EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"NOF", "() (1 (E (F (N (S (V "},
    {"NOK", "&( (1 (F (N (S (V 1C 1O F( NC O( O1 OF ON OS OV SC SO VC VO "},
    {"NON", "SU "},
    {"NOS", "&( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F 1( 1F 1N 1S 1U "
            "1V ; ;C ;E ;T A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU EV F( "
            "K( K) K1 KB KF KN KS KU KV T( T1 TE TF TN TS TT TV U U( U1 U; UC UE UF UK UO US UT "
            "UV V( VF VO VS VU "},
    {"NOU", "(E EK EN "},
    {"NOV", "&( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F ; ;C ;E ;N ;T "
            "A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU EV F( K( K) K1 KB KF "
            "KN KS KU KV O( OF OK OS OU S( S1 SF SO SU SV T( T1 TE TF TN TS TT TV U U( U1 U; UC "
            "UE UF UK UO US UT UV "},
    {"NSO", "1U NU SU VU "},
    {"NSU", "E E; EC EK "},
    {"NT(", "1) 1O F( N) NO S) SO V) VO "},
    {"NT1", "(F O( OF OS OV "},
    {"NTE", "(1 (F (N (S (V 1N 1O F( K( K1 KF KN KS KV NN NO SN SO VN VO "},
    {"NTF", "() (1 (F (N (S (V "},
    {"NTN", "(1 (F (S (V 1C 1O ;E ;N ;T E( E1 EF EN ES EV F( KN N: NC NO O( OF OS OV SC SO T( T1 "
            "TF TN TS TV VC VO "},
    {"NTS", "(F O( O1 OF ON OS OV "},
    {"NTT", "NE NK NN NT "},
    {"NTV", "(1 (F O( OF OS "},
    {"NU(", "1) 1O E( E1 EF EK EN ES EV F( N) NO S) SO V) VO "},
    {"NU1", ",( ,F C O( OF OS OV "},
    {"NU;", "- C "},
    {"NUC", "- "},
    {"NUE", "- (1 (E (F (N (O (S (V 1 1& 1( 1) 1, 1; 1B 1C 1F 1K 1N 1O 1S 1U 1V ; ;C C F F( F, "
            "F; FC K K( K1 K; KC KF KN KO KS KV N N& N( N) N, N1 N; NB NC NF NK NO NS NU OK ON S "
            "S& S( S) S, S1 S; SB SC SF SK SO SU SV V V& V( V) V, V; VB VC VF VK VN VO VS VU "},
    {"NUF", "() (1 (F (N (S (V "},
    {"NUK", "(E "},
    {"NUO", "(E N( N1 NF NS "},
    {"NUS", ",( ,F C O( O1 OF ON OS OV "},
    {"NUT", "N( N1 NF NN NS NV "},
    {"NUV", ",( ,F C O( OF OS "},
    {"S&(", "1& 1) 1, 1O E( E1 EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"S&1", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS OV TN U U( U; UC UE "},
    {"S&E", "(1 (F (N (O (S (V 1 1; 1C 1K 1O F( K( K1 KF KN KS KV N N; NC NK NO S S; SC SK SO V "
            "V; VC VK VO "},
    {"S&F", "() (1 (E (F (N (S (V "},
    {"S&K", "&( &1 &F &N &S &V (1 (F (N (S (V 1O C F( NK O( O1 OF OK ON OS OV SO VO "},
    {"S&N", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EN F( K( K1 KF KN KS "
            "KV O( OF OS OV TN U U( U; UC UE "},
    {"S&S", "- &( &1 &F &N &S &V )& )C )O )U 1 1; 1C ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( "
            "K1 KF KN KS KV O( O1 OF ON OS OV TN U U( U; UC UE V V; VC VO "},
    {"S&V", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS S S; SC SO TN U U( U; UC UE "},
    {"S(E", "F( KF KN NK "},
    {"S(U", "(E "},
    {"S)&", "(1 (E (F (N (S (V 1 1& 1) 1; 1B 1C 1F 1O 1U F( N N& N) N; NB NC NF NO NU S S& S) S; "
            "SB SC SF SO SU V V& V) V; VB VC VF VO VU "},
    {"S),", "(1 (F (N (S (V "},
    {"S);", "E( E1 EF EK EN EO ES EV T( T1 TF TK TN TO TS TV "},
    {"S)B", "(1 (F (N (S (V 1 1& 1; 1C 1K 1N 1O 1U F( N N& N; NC NK NO NU S S& S; SC SK SO SU V "
            "V& V; VC VK VO VU "},
    {"S)C", "- "},
    {"S)E", "(1 (F (N (S (V 1C 1O F( K( K1 KF KN KS KV NC NO SC SO VC VO "},
    {"S)F", "(F "},
    {"S)K", "(1 (F (N (S (V 1& 1; 1B 1E 1O 1U B( B1 BF BN BS BV F( N& N; NB NC NE NK NU S& S; SB "
            "SE SO SU UE V& V; VB VE VO VU "},
    {"S)O", "(1 (E (F (N (S (V 1 1& 1) 1; 1B 1C 1K 1U F( N& N) N; NB NC NK NU S S& S) S; SB SC "
            "SK SU V V& V) V; VB VC VK VO VU "},
    {"S)U", "(E E( E1 EF EK EN ES EV "},
    {"S,(", "1) 1O E( E1 EF EK EN ES EV F( N) NO S) SO V) VO "},
    {"S,F", "() (1 (F (N (S (V "},
    {"S1F", "() (1 (F (N (S (V "},
    {"S1N", "C "},
    {"S1S", "; ;C C "},
    {"S1U", "E E; EC EK "},
    {"S1V", "- ; ;C C O( OF OS "},
    {"S;E", "(1 (E (F (N (S (V 1, 1; 1C 1K 1O 1T F( K( K1 KF KN KO KS KV N, N; NC NE NK NO NT S, "
            "S; SC SK SO ST V, V; VC VK VO VT "},
    {"S;N", ":T "},
    {"S;T", "(1 (C (E (F (N (S (V 1( 1, 1; 1C 1F 1K 1O 1T ; ;C F( K( K1 KF KK KN KO KS KV N( N, "
            "N1 N; NC NE NF NK NN NO NS NT NV O( S( S, S; SC SF SK SO ST TN V( V, V; VC VF VK VO "
            "VT "},
    {"SA(", "F( N) NO S) SO V) VO "},
    {"SAF", "() (1 (F (N (S (V "},
    {"SAS", "O( O1 OF ON OS OV UE "},
    {"SAT", "O( O1 OF ON OS OV UE "},
    {"SAV", "O( OF OS UE "},
    {"SB(", "1) 1O F( NO S) SO V) VO "},
    {"SB1", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"SBE", "(1 (F (N (S (V K( "},
    {"SBF", "() (1 (F (N (S (V "},
    {"SBN", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"SBS", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( O1 OF ON OS "
            "OV U( UE "},
    {"SBV", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS U( UE "},
    {"SE(", "1) 1O F( N) NO S) SO V) VO "},
    {"SE1", ";T C O( OF OS OV T( T1 TF TN TS TV UE "},
    {"SEF", "() (1 (F (N (S (V "},
    {"SEK", "(1 (E (F (N (S (V 1; 1C 1O 1T 1U F( N; NC NE NT NU OK S; SC SO ST SU U( U1 UE UF US "
            "UV V; VC VO VT VU "},
    {"SEN", ";T C EN O( OF OS OV T( T1 TF TN TS TV UE "},
    {"SEO", "KN "},
    {"SES", ";T C O( O1 OF ON OS OV T( T1 TF TN TS TV UE "},
    {"SEU", "(1 (F (N (S (V 1, 1C 1O EF EK F( S, SC SO V, VC VO "},
    {"SEV", ";T C O( OF OS T( T1 TF TN TS TV UE "},
    {"SF(", ")1 )F )K )N )O )S )U )V 1) 1N 1O E( E1 EF EK EN ES EV F( N) N, NO S) SO V) VO "},
    {"SK(", "1) 1O F( N) NO S) SO V) VO "},
    {"SK)", "&( &1 &F &N &S &V ;E ;T B( B1 BF BN BS BV E( E1 EF EK EN ES EV F( O( OF UE "},
    {"SK1", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS OV "
            "U( UE "},
    {"SKF", "() (1 (F (N (S (V "},
    {"SKN", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EN ES EV U( UE "},
    {"SKS", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( O1 OF ON "
            "OS OV U( UE "},
    {"SKU", "E( E1 EF EK EN ES EV "},
    {"SKV", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS U( "
            "UE "},
    {"SO(", "1& 1) 1, 1O E( E1 EE EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"SO1", "&( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F ; ;C ;E ;N ;T "
            "A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU EV F( K( K) K1 KB KF "
            "KN KS KU KV N& N( N, NE NU SU SV T( T1 TE TF TN TS TT TV U U( U1 U; UC UE UF UK UO "
            "US UT UV V( VF VO VS VU "},
    {"SOF", "() (1 (E (F (N (S (V "},
    {"SOK", "&( &1 &F &N &S &V (1 (F (N (S (V 1C 1O F( NC O( O1 OF ON OS OV SC SO VC VO "},
    {"SON", "&( &1 &E &F &K &N &S &U &V (1 (E (F (S (U (V )& ), ); )B )C )E )F )K )O )U ,( ,F 1( "
            "1O 1U 1V ; ;C ;E ;N ;T A( AF AS AT AV B( B1 BE BF BN BS BV E( E1 EF EN EO ES EU EV "
            "F( K( K) K1 KB KF KS KU KV SU T( T1 TE TF TN TS TT TV U U( U1 U; UC UE UF UK UO US "
            "UT UV "},
    {"SOS", "- &( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F 1( 1F 1N 1S "
            "1U 1V ; ;C ;E ;N ;T A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU "
            "EV F( K( K) K1 KB KF KN KS KU KV T( T1 TE TF TN TS TT TV U U( U1 U; UC UE UF UK UO "
            "US UT UV V( VF VO VS VU "},
    {"SOU", "(E EK EN "},
    {"SOV", "- &( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F ; ;C ;E ;N "
            ";T A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU EV F( K( K) K1 KB "
            "KF KN KS KU KV O( OF OK OS OU S( S1 SF SO SU SV T( T1 TE TF TN TS TT TV U U( U1 U; "
            "UC UE UF UK UO US UT UV "},
    {"ST(", "1) 1O F( N) NO S) SO V) VO "},
    {"ST1", "(F O( OF OS OV "},
    {"STE", "(1 (F (N (S (V 1N 1O F( K( K1 KF KN KS KV NN NO SN SO VN VO "},
    {"STF", "() (1 (F (N (S (V "},
    {"STN", "(1 (F (S (V 1C 1O ;E ;N ;T E( E1 EF EN ES EV F( KN N: NC NO O( OF OS OV SC SO T( T1 "
            "TF TN TS TV VC VO "},
    {"STS", "(F O( O1 OF ON OS OV "},
    {"STT", "NE NK NN NT "},
    {"STV", "(1 (F O( OF OS "},
    {"SU(", "1) 1O E( E1 EF EK EN ES EV F( N) NO S) SO V) VO "},
    {"SU1", ",( ,F C O( OF OS OV "},
    {"SU;", "- C "},
    {"SUC", "- "},
    {"SUE", "- (1 (E (F (N (O (S (V 1 1& 1( 1) 1, 1; 1B 1C 1F 1K 1N 1O 1S 1U 1V ; ;C C F F( F, "
            "F; FC K K( K1 K; KC KF KN KO KS KV N N& N( N) N, N1 N; NB NC NF NK NO NS NU OK ON S "
            "S& S( S) S, S1 S; SB SC SF SK SO SU SV V V& V( V) V, V; VB VC VF VK VN VO VS VU "},
    {"SUF", "() (1 (F (N (S (V "},
    {"SUK", "(E "},
    {"SUO", "(E N( N1 NF NS "},
    {"SUS", ",( ,F C O( O1 OF ON OS OV "},
    {"SUT", "N( N1 NF NN NS NV "},
    {"SUV", ",( ,F C O( OF OS "},
    {"SVF", "() (1 (F (N (S (V "},
    {"SVO", "(1 (F (N (S (V F( S( S1 SF SU SV "},
    {"SVS", "; ;C C O( O1 OF ON OS OV "},
    {"SVU", "E E; EC EK "},
    {"T(1", ")F )O F( N) O( OF OS OV S) V) VO "},
    {"T(F", "() (1 (F (N (S (V "},
    {"T(N", "(1 (F (S (V )F )O 1) 1O F( N) NO O( OF OS OV S) SO V) VO "},
    {"T(S", ")F )O 1) F( N) NO O( O1 OF ON OS OV V) VO "},
    {"T(V", ")F )O F( O( OF OS S) SO V) "},
    {"T1F", "(1 (F (N (S (V "},
    {"T1O", "(1 (F (N (S (V F( SF VF VO "},
    {"TF(", ")F )O 1) 1O F( N) NO S) SO V) VO "},
    {"TN(", "1) 1O F( S) SO V) VO "},
    {"TN1", "; ;C O( OF OS OV "},
    {"TNF", "() (1 (F (N (S (V "},
    {"TNN", "; ;C O( OF OS OV "},
    {"TNO", "(1 (F (N (S (V F( SF VF VO "},
    {"TNS", "; ;C O( O1 OF ON OS OV "},
    {"TNV", "; ;C O( OF OS "},
    {"TSF", "(1 (F (N (S (V "},
    {"TSO", "(1 (F (N (S (V 1F F( NF SF VF VO "},
    {"TVF", "(1 (F (N (S (V "},
    {"TVO", "(1 (F (N (S (V F( SF "},
    {"U(E", "(1 (F (K (N (S (V 1) 1O F( K( K1 KF KN KO KS KV N) NK NO OK S) SO V) VO "},
    {"UE(", "1) 1, 1O F( N) N, NO S) S, SO V) V, VO "},
    {"UE1", "- ,( ,F ; ;C C K( K1 KF KN KS KV O( OF OS OV "},
    {"UEF", "() (1 (F (N (S (V "},
    {"UEK", "(1 (F (N (S (V 1 1, 1; 1C 1K 1O F( N N( N, N; NC NK S S, S; SC SK SO V V, V; VC VK "
            "VO "},
    {"UEN", "() ,( ,F ; ;C C K( K1 KF KN KS KV O( OF OS OV "},
    {"UES", "- ,( ,F ; ;C C K( K1 KF KN KS KV O( O1 OF ON OS OV "},
    {"UEV", "- ,( ,F ; ;C C K( K1 KF KN KS KV O( OF OS "},
    {"UF(", "1O F( NO SO VO "},
    {"V&(", "1& 1) 1, 1O E( E1 EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"V&1", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS OV TN U U( U; UC UE "},
    {"V&E", "(1 (F (N (O (S (V 1 1; 1C 1K 1O F( K( K1 KF KN KS KV N N; NC NK NO S S; SC SK SO V "
            "V; VC VK VO "},
    {"V&F", "() (1 (E (F (N (S (V "},
    {"V&K", "&( &1 &F &N &S &V (1 (F (N (S (V 1O C F( NK O( O1 OF OK ON OS OV SO VO "},
    {"V&N", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EN F( K( K1 KF KN KS "
            "KV O( OF OS OV TN U U( U; UC UE "},
    {"V&S", "- &( &1 &F &N &S &V )& )C )O )U 1 1; 1C ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( "
            "K1 KF KN KS KV O( O1 OF ON OS OV TN U U( U; UC UE V V; VC VO "},
    {"V&V", "- &( &1 &F &N &S &V )& )C )O )U ; ;C ;E ;T B( B1 BF BN BS BV C EK EN F( K( K1 KF KN "
            "KS KV O( OF OS S S; SC SO TN U U( U; UC UE "},
    {"V(E", "F( KF KN NK "},
    {"V(U", "(E "},
    {"V)&", "(1 (E (F (N (S (V 1 1& 1) 1; 1B 1C 1F 1O 1U F( N N& N) N; NB NC NF NO NU S S& S) S; "
            "SB SC SF SO SU V V& V) V; VB VC VF VO VU "},
    {"V),", "(1 (F (N (S (V "},
    {"V);", "E( E1 EF EK EN EO ES EV T( T1 TF TK TN TO TS TV "},
    {"V)B", "(1 (F (N (S (V 1 1& 1; 1C 1K 1N 1O 1U F( N N& N; NC NK NO NU S S& S; SC SK SO SU V "
            "V& V; VC VK VO VU "},
    {"V)C", "- "},
    {"V)E", "(1 (F (N (S (V 1C 1O F( K( K1 KF KN KS KV NC NO SC SO VC VO "},
    {"V)F", "(F "},
    {"V)K", "(1 (F (N (S (V 1& 1; 1B 1E 1O 1U B( B1 BF BN BS BV F( N& N; NB NC NE NK NU S& S; SB "
            "SE SO SU UE V& V; VB VE VO VU "},
    {"V)O", "(1 (E (F (N (S (V 1 1& 1) 1; 1B 1C 1K 1U F( N N& N) N; NB NC NK NU S S& S) S; SB SC "
            "SK SU V V& V) V; VB VC VK VO VU "},
    {"V)U", "(E E( E1 EF EK EN ES EV "},
    {"V,(", "1) 1O E( E1 EF EK EN ES EV F( N) NO S) SO V) VO "},
    {"V,F", "() (1 (F (N (S (V "},
    {"V;E", "(1 (E (F (N (S (V 1, 1; 1C 1K 1O 1T F( K( K1 KF KN KO KS KV N, N; NC NE NK NO NT S, "
            "S; SC SK SO ST V, V; VC VK VO VT "},
    {"V;N", ":T "},
    {"V;T", "(1 (C (E (F (N (S (V 1( 1, 1; 1C 1F 1K 1O 1T ; ;C F( K( K1 KF KK KN KO KS KV N( N, "
            "N1 N; NC NE NF NK NN NO NS NT NV O( S( S, S; SC SF SK SO ST TN V( V, V; VC VF VK VO "
            "VT "},
    {"VA(", "F( N) NO S) SO V) VO "},
    {"VAF", "() (1 (F (N (S (V "},
    {"VAS", "O( O1 OF ON OS OV UE "},
    {"VAT", "O( O1 OF ON OS OV UE "},
    {"VAV", "O( OF OS UE "},
    {"VB(", "1) 1O F( NO S) SO V) VO "},
    {"VB1", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"VBE", "(1 (F (N (S (V K( "},
    {"VBF", "() (1 (F (N (S (V "},
    {"VBN", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS OV U( "
            "UE "},
    {"VBS", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( O1 OF ON OS "
            "OV U( UE "},
    {"VBV", "- &( &1 &F &N &S &V ,( ,F ; ;C B( B1 BF BN BS BV C K( K1 KF KN KS KV O( OF OS U( UE "},
    {"VE(", "1) 1O F( N) NO S) SO V) VO "},
    {"VE1", ";T C O( OF OS OV T( T1 TF TN TS TV UE "},
    {"VEF", "() (1 (F (N (S (V "},
    {"VEK", "(1 (E (F (N (S (V 1; 1C 1O 1T 1U F( N; NC NE NT NU OK S; SC SO ST SU U( U1 UE UF US "
            "UV V; VC VO VT VU "},
    {"VEN", ";T C EN O( OF OS OV T( T1 TF TN TS TV UE "},
    {"VEO", "KN "},
    {"VES", ";T C O( O1 OF ON OS OV T( T1 TF TN TS TV UE "},
    {"VEU", "(1 (F (N (S (V 1, 1C 1O EF EK F( S, SC SO V, VC VO "},
    {"VEV", ";T C O( OF OS T( T1 TF TN TS TV UE "},
    {"VF(", ")1 )F )K )N )O )S )U )V 1) 1N 1O E( E1 EF EK EN ES EV F( N) N, NO S) SO V) VO "},
    {"VK(", "1) 1O F( N) NO S) SO V) VO "},
    {"VK)", "&( &1 &F &N &S &V ;E ;T B( B1 BF BN BS BV E( E1 EF EK EN ES EV F( O( OF UE "},
    {"VK1", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS OV "
            "U( UE "},
    {"VKF", "() (1 (F (N (S (V "},
    {"VKN", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EN ES EV U( UE "},
    {"VKS", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( O1 OF ON "
            "OS OV U( UE "},
    {"VKU", "E( E1 EF EK EN ES EV "},
    {"VKV", "- &( &1 &F &N &S &V ; ;C ;E ;T B( B1 BF BN BS BV C E( E1 EF EK EN ES EV O( OF OS U( "
            "UE "},
    {"VO(", "1& 1) 1, 1O E( E1 EE EF EK EN EO ES EV F( N& N) N, NO S& S) S, SO V& V) V, VO "},
    {"VOF", "() (1 (E (F (N (S (V "},
    {"VOK", "&( &1 &F &N &S &V (1 (F (N (S (V 1C 1O F( NC O( O1 OF ON OS OV SC SO VC VO "},
    {"VOS", "- &( &1 &E &F &K &N &S &U &V (E (U )& ), ); )B )C )E )F )K )O )U ,( ,F 1( 1F 1N 1S "
            "1U 1V ; ;C ;E ;N ;T A( AF AS AT AV B( B1 BE BF BN BS BV C E( E1 EF EK EN EO ES EU "
            "EV F( K( K) K1 KB KF KN KS KU KV T( T1 TE TF TN TS TT TV U U( U1 U; UC UE UF UK UO "
            "US UT UV V( VF VO VS VU "},
    {"VOU", "(E EK EN "},
    {"VT(", "1) 1O F( N) NO S) SO V) VO "},
    {"VT1", "(F O( OF OS OV "},
    {"VTE", "(1 (F (N (S (V 1N 1O F( K( K1 KF KN KS KV NN NO SN SO VN VO "},
    {"VTF", "() (1 (F (N (S (V "},
    {"VTN", "(1 (F (S (V 1C 1O ;E ;N ;T E( E1 EF EN ES EV F( KN N: NC NO O( OF OS OV SC SO T( T1 "
            "TF TN TS TV VC VO "},
    {"VTS", "(F O( O1 OF ON OS OV "},
    {"VTT", "NE NK NN NT "},
    {"VTV", "(1 (F O( OF OS "},
    {"VU(", "1) 1O E( E1 EF EK EN ES EV F( N) NO S) SO V) VO "},
    {"VU1", ",( ,F C O( OF OS OV "},
    {"VU;", "- C "},
    {"VUC", "- "},
    {"VUE", "- (1 (E (F (N (O (S (V 1 1& 1( 1) 1, 1; 1B 1C 1F 1K 1N 1O 1S 1U 1V ; ;C C F F( F, "
            "F; FC K K( K1 K; KC KF KN KO KS KV N N& N( N) N, N1 N; NB NC NF NK NO NS NU OK ON S "
            "S& S( S) S, S1 S; SB SC SF SK SO SU SV V V& V( V) V, V; VB VC VF VK VN VO VS VU "},
    {"VUF", "() (1 (F (N (S (V "},
    {"VUK", "(E "},
    {"VUO", "(E N( N1 NF NS "},
    {"VUS", ",( ,F C O( O1 OF ON OS OV "},
    {"VUT", "N( N1 NF NN NS NV "},
    {"VUV", ",( ,F C O( OF OS "},
};

/* Whether one of the endings, each of which a blank follows, is this one. */
static bool has_ending(const char *endings, const char *ending, size_t len)
{
    while (*endings != '\0') {
        const char *blank = strchr(endings, ' ');

        if ((size_t) (blank - endings) == len && memcmp(endings, ending, len) == 0) {
            return true;
        }
        endings = blank + 1;
    }

    return false;
}

bool weir_waf_sql_is_known(weir_str fingerprint)
{
    char upper[WEIR_WAF_SQLI_TOKENS + 1] = {0};
    size_t low = 0, high = WEIR_COUNT(longer);

    if (fingerprint.len == 0 || fingerprint.len > WEIR_WAF_SQLI_TOKENS) {
        return false;
    }
    for (size_t i = 0; i < fingerprint.len; i++) {
        char c = fingerprint.data[i];

        upper[i] = c >= 'a' && c <= 'z' ? (char) (c - 0x20) : c;
    }

    if (fingerprint.len < 3) {
        for (size_t i = 0; i < WEIR_COUNT(shorter); i++) {
            if (strcmp(shorter[i], upper) == 0) {
                return true;
            }
        }
        return false;
    }

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(upper, longer[middle].first, 3);

        if (order == 0) {
            return fingerprint.len == 3
                       ? has_ending(longer[middle].rest, "-", 1)
                       : has_ending(longer[middle].rest, upper + 3, fingerprint.len - 3);
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }

    return false;
}
